using CrossAlign.Kernels.Tests.Harness;
using CrossAlign.Runtime;
using CrossAlign.Runtime.Cuda;
using CrossAlign.Runtime.Cuda.Emulation;

namespace CrossAlign.Kernels.Tests.Cuda;

/// <summary>One captured graph for batches of any size up to its capacity: the number of rows is read from the device, and a replay is the eager step to the bit.</summary>
public sealed class LiveRowsTests
{
    private const int Capacity = 96;
    private const int C = 40;

    [Theory]
    [InlineData(Interleaving.Forward)]
    [InlineData(Interleaving.Reverse)]
    [InlineData(Interleaving.Random)]
    public void AReplayedGraphEqualsTheEagerStepForAnyNumberOfRows(Interleaving interleaving)
    {
        using CudaDevice device = CudaDevice.Emulate(new EmulationOptions { Interleaving = interleaving });
        Tensor rows = device.NewTensor(DType.Int32, new Shape(1));
        Tensors full = new(device, Capacity, new LiveRows(Capacity, rows));
        full.Step();
        using CudaGraph graph = CudaGraph.Capture(device, full.Step);
        foreach (int n in (int[])[Capacity, 37, 1, 64])
        {
            Tensors eager = new(device, n);
            eager.Fill(n);
            eager.Step();
            full.Fill(n);
            rows.CopyFrom<int>([n]);
            graph.Launch();

            Assert.Equal(eager.Output.ToArray<float>(), full.Output.Rows(0, n).ToArray<float>());
            Assert.Equal(eager.DInput.ToArray<float>(), full.DInput.Rows(0, n).ToArray<float>());
            Assert.Equal(eager.DWeight.ToArray<float>(), full.DWeight.ToArray<float>());
            Assert.All(full.Output.Rows(n, Capacity - n).ToArray<float>(), v => Assert.Equal(0, v));
        }
    }

    [Fact]
    public void AReplayedGraphOfTheTokensOtherOperationsEqualsTheEagerStep()
    {
        using CudaDevice device = CudaDevice.Emulate(new EmulationOptions());
        Tensor rows = device.NewTensor(DType.Int32, new Shape(1));
        TokenTensors full = new(device, Capacity, new LiveRows(Capacity, rows));
        full.Step();
        using CudaGraph graph = CudaGraph.Capture(device, full.Step);
        foreach (int n in (int[])[Capacity, 37, 1, 64])
        {
            TokenTensors eager = new(device, n);
            eager.Fill(n);
            eager.Step();
            full.Fill(n);
            rows.CopyFrom<int>([n]);
            graph.Launch();

            Assert.Equal(eager.Output.ToArray<float>(), full.Output.Rows(0, n).ToArray<float>());
            Assert.Equal(eager.DInput.ToArray<float>(), full.DInput.Rows(0, n).ToArray<float>());
            Assert.Equal(eager.DBias.ToArray<float>(), full.DBias.ToArray<float>());
            Assert.Equal(eager.DTable.ToArray<float>(), full.DTable.ToArray<float>());
            Assert.Contains(full.DTable.ToArray<float>(), v => v != 0);
            Assert.All(full.Output.Rows(n, Capacity - n).ToArray<float>(), v => Assert.Equal(0, v));
            Assert.All(full.DInput.Rows(n, Capacity - n).ToArray<float>(), v => Assert.Equal(0, v));
        }
    }

    [Theory]
    [InlineData(MatMulPrecision.Float32, MatMulEngine.Own, 20, 65535)]
    [InlineData(MatMulPrecision.BFloat16, MatMulEngine.Own, 33, 65535)]
    [InlineData(MatMulPrecision.Float32, MatMulEngine.Cublas, 20, 65535)]
    [InlineData(MatMulPrecision.Float32, MatMulEngine.Own, 20, 40)]
    [InlineData(MatMulPrecision.BFloat16, MatMulEngine.Own, 20, 40)]
    public void AReplayedGraphOfPicturesEqualsTheEagerStepForAnyNumberOfThem(MatMulPrecision precision, MatMulEngine engine, int c, int maxGridRows)
    {
        // Patches, then pooling as of an image tower: ten rows a picture, all of them at once or four at a time.
        const int Pictures = 9;
        const int Size = 24;
        const int Patch = 8;
        int[] counts = [9, 4, 1, 7];
        using CudaDevice device = CudaDevice.Emulate(new EmulationOptions { MaxGridRows = maxGridRows });
        device.MatMulPrecision = precision;
        device.MatMulEngine = engine;
        int rows = 1 + (Size / Patch * (Size / Patch));
        Tensor numbers = device.NewTensor(DType.Int32, new Shape(2));
        numbers.CopyFrom<int>([Pictures, Pictures * rows]);
        PictureTensors full = new(device, Pictures, Size, Patch, c, new LiveRows(Pictures, numbers.Rows(0, 1)), new LiveRows(Pictures * rows, numbers.Rows(1, 1)));
        full.Fill(Pictures);
        full.Step();
        using CudaGraph graph = CudaGraph.Capture(device, full.Step);
        foreach (int n in counts)
        {
            PictureTensors eager = new(device, n, Size, Patch, c, null, null);
            eager.Fill(n);
            eager.Step();
            full.Fill(n);
            numbers.CopyFrom<int>([n, n * rows]);
            graph.Launch();

            Assert.Equal(eager.Pooled.ToArray<float>(), full.Pooled.Rows(0, n).ToArray<float>());
            Assert.Contains(full.Pooled.ToArray<float>(), v => v != 0);
            Assert.All(full.Pooled.Rows(n, Pictures - n).ToArray<float>(), v => Assert.Equal(0, v));
            foreach ((Tensor expected, Tensor actual) in eager.Gradients.Zip(full.Gradients))
            {
                Assert.Equal(expected.ToArray<float>(), actual.ToArray<float>());
                Assert.Contains(actual.ToArray<float>(), v => v != 0);
            }
        }
    }

    [Fact]
    public void PicturesThatAreBoundAloneAreRefused()
    {
        using CudaDevice device = CudaDevice.Emulate(new EmulationOptions());
        LiveRows live = new(2, device.NewTensor(DType.Int32, new Shape(1)));
        Tensor pixels = device.NewTensor(DType.Float32, new Shape(2, 3, 8, 8)).WithLiveRows(live);
        Tensor rows = device.NewTensor(DType.Float32, new Shape(10, 4));
        Tensor parameters = device.NewTensor(DType.Float32, new Shape(5, 4));
        Tensor weight = device.NewTensor(DType.Float32, new Shape(4, 48));
        ArgumentException e = Assert.Throws<ArgumentException>(() => PatchEmbedding.Forward(pixels, weight, default, parameters.Rows(0, 1).Reshape(new Shape(4)), parameters, rows, 4));
        Assert.Contains("live rows", e.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(MatMulPrecision.Float32)]
    [InlineData(MatMulPrecision.BFloat16)]
    public void CublasAddsNothingOfTheRowsBehindTheLiveOnes(MatMulPrecision precision)
    {
        // cuBLAS takes its sizes from the host; what lies behind the live rows is no number at all.
        using CudaDevice device = CudaDevice.Emulate(new EmulationOptions());
        device.MatMulEngine = MatMulEngine.Cublas;
        device.MatMulPrecision = precision;
        Tensor count = device.NewTensor(DType.Int32, new Shape(1));
        LiveRows live = new(Capacity, count);
        Tensor input = device.NewTensor(DType.Float32, new Shape(Capacity, C)).WithLiveRows(live);
        Tensor output = device.NewTensor(DType.Float32, new Shape(Capacity, C)).WithLiveRows(live);
        Tensor dOutput = device.NewTensor(DType.Float32, new Shape(Capacity, C)).WithLiveRows(live);
        Tensor weight = device.NewTensor(DType.Float32, new Shape(C, C));
        Tensor dWeight = device.NewTensor(DType.Float32, new Shape(C, C));
        weight.CopyFrom<float>(TestData.Normal(DType.Float32, C * C, 3));
        count.CopyFrom<int>([Capacity]);
        Step();
        using CudaGraph graph = CudaGraph.Capture(device, Step);
        foreach (int n in (int[])[Capacity, 37, 1, 0, 64])
        {
            float[] x = TestData.Normal(DType.Float32, n * C, 1);
            float[] dy = TestData.Normal(DType.Float32, n * C, 2);
            input.CopyFrom<float>([.. x, .. Enumerable.Repeat(float.NaN, (Capacity - n) * C)]);
            dOutput.CopyFrom<float>([.. dy, .. Enumerable.Repeat(float.NaN, (Capacity - n) * C)]);
            dWeight.CopyFrom<float>(new float[C * C]);
            count.CopyFrom<int>([n]);
            graph.Launch();

            Tensor inputOfN = device.NewTensor(DType.Float32, new Shape(n, C));
            Tensor dOutputOfN = device.NewTensor(DType.Float32, new Shape(n, C));
            Tensor outputOfN = device.NewTensor(DType.Float32, new Shape(n, C));
            Tensor dWeightOfN = device.NewTensor(DType.Float32, new Shape(C, C));
            inputOfN.CopyFrom<float>(x);
            dOutputOfN.CopyFrom<float>(dy);
            MatMul.Run(inputOfN, weight, outputOfN, MatMulLayout.NT);
            MatMul.Run(dOutputOfN, inputOfN, dWeightOfN, MatMulLayout.TN);
            Assert.Equal(outputOfN.ToArray<float>(), output.Rows(0, n).ToArray<float>());
            Assert.Equal(dWeightOfN.ToArray<float>(), dWeight.ToArray<float>());
        }

        void Step()
        {
            MatMul.Run(input, weight, output, MatMulLayout.NT);
            MatMul.Run(dOutput, input, dWeight, MatMulLayout.TN, accumulate: true);
        }
    }

    [Fact]
    public void CublasIsNotCapturedWithoutAWorkspaceOfItsOwn()
    {
        // A stream that is set behind the workspace takes it away again, as the library's documentation says.
        using CudaDevice device = CudaDevice.Emulate(new EmulationOptions());
        device.MatMulEngine = MatMulEngine.Cublas;
        Tensor x = device.NewTensor(DType.Float32, new Shape(C, C));
        Tensor y = device.NewTensor(DType.Float32, new Shape(C, C));
        MatMul.Run(x, x, y, MatMulLayout.NT);
        using CudaGraph graph = CudaGraph.Capture(device, () => MatMul.Run(x, x, y, MatMulLayout.NT));
        CudaException e = Assert.Throws<CudaException>(() => CudaGraph.Capture(device, () =>
        {
            CudaException.ThrowIfCublasFailed(device.Cublas!.SetStream(device.BlasHandle(), device.Stream.DangerousGetHandle()));
            MatMul.Run(x, x, y, MatMulLayout.NT);
        }));
        Assert.Contains("CUBLAS_STATUS_NOT_SUPPORTED", e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void OnlyTensorsThatAreBoundHaveLiveRows()
    {
        // Rows of as many bound ones, which the number must not touch.
        using CudaDevice device = CudaDevice.Emulate(new EmulationOptions());
        Tensor x = device.NewTensor(DType.Float32, new Shape(4, 8));
        x.CopyFrom<float>(TestData.Normal(DType.Float32, 32, 1));
        Tensor bound = device.NewTensor(DType.Float32, new Shape(4, 8));
        Tensor free = device.NewTensor(DType.Float32, new Shape(4, 8));
        Tensor count = device.NewTensor(DType.Int32, new Shape(1));
        count.CopyFrom<int>([3]);
        LiveRows live = new(4, count);
        Residual.Add(x.WithLiveRows(live), x, bound.WithLiveRows(live));
        Residual.Add(x, x, free);
        Assert.Equal(free.ToArray<float>()[..24], bound.ToArray<float>()[..24]);
        Assert.Equal(new float[8], bound.ToArray<float>()[24..]);
        Assert.DoesNotContain(0, free.ToArray<float>());
    }

    [Fact]
    public void AViewOfABoundTensorIsBoundOrSaysThatItCannotBe()
    {
        using CudaDevice device = CudaDevice.Emulate(new EmulationOptions());
        LiveRows live = new(4, device.NewTensor(DType.Int32, new Shape(1)));
        Tensor x = device.NewTensor(DType.Float32, new Shape(4, 8)).WithLiveRows(live);
        Assert.Same(live, x.Reshape(new Shape(4, 2, 4)).LiveRows);
        Assert.Null(x.Rows(0, 4).LiveRows);
        Assert.Null(x.WithLiveRows(null).LiveRows);
        Assert.Throws<ArgumentException>(() => x.Reshape(new Shape(8, 4)));
        Assert.Throws<ArgumentException>(() => x.Rows(0, 3).WithLiveRows(live));
        using TensorArena arena = new(device, 1024);
        Assert.Same(live, arena.Take(DType.Float32, new Shape(4, 2), live).LiveRows);
    }

    [Fact]
    public void AnOperationWhoseTensorsDisagreeIsRefused()
    {
        using CudaDevice device = CudaDevice.Emulate(new EmulationOptions());
        Tensor count = device.NewTensor(DType.Int32, new Shape(1));
        Tensor x = device.NewTensor(DType.Float32, new Shape(4, 8));
        Tensor bound = x.WithLiveRows(new LiveRows(4, count));
        ArgumentException e = Assert.Throws<ArgumentException>(() => Residual.Add(x, x, bound));
        Assert.Contains("live rows", e.Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>(() => Residual.Add(bound, x, x));
        Assert.Throws<ArgumentException>(() => Residual.Add(bound, x, x.WithLiveRows(new LiveRows(4, count))));
    }

    [Fact]
    public void TheNumberOfRowsIsOneIntegerOfACudaDevice()
    {
        using CpuDevice cpu = new(1);
        using CudaDevice device = CudaDevice.Emulate(new EmulationOptions());
        Assert.Throws<ArgumentException>(() => new LiveRows(4, default));
        Assert.Throws<ArgumentException>(() => new LiveRows(4, cpu.NewTensor(DType.Int32, new Shape(1))));
        Assert.Throws<ArgumentException>(() => new LiveRows(4, device.NewTensor(DType.Float32, new Shape(1))));
        Assert.Throws<ArgumentException>(() => new LiveRows(4, device.NewTensor(DType.Int32, new Shape(2))));
    }

    [Fact]
    public void AlignedRowsTouchNoMoreSectorsThanTheyMust()
    {
        using CudaDevice device = CudaDevice.Emulate(new EmulationOptions());
        foreach (DType dtype in (DType[])[DType.Float32, DType.BFloat16])
        {
            Tensor x = device.NewTensor(dtype, new Shape(64, 768));
            Tensor y = device.NewTensor(dtype, new Shape(64, 768));
            Tensor w = device.NewTensor(DType.Float32, new Shape(768));
            Tensor s = device.NewTensor(DType.Float32, new Shape(64));
            Tensor r = device.NewTensor(DType.Float32, new Shape(64));
            LayerNorm.Forward(x, w, w, y, s, r, 1e-5f);
            LayerNorm.Backward(y, x, w, s, r, y, w, device.NewTensor(DType.Float32, new Shape(768)));
        }

        foreach ((string name, KernelCounters counters) in device.Emulation!.ReadCounters())
        {
            Assert.True(
                counters.GlobalSectorCount <= 1.05 * counters.MinGlobalSectorCount,
                $"{name}: {counters.GlobalSectorCount} sectors, {counters.MinGlobalSectorCount} would do");
        }
    }

    private sealed class Tensors(CudaDevice device, int n, LiveRows? live = null)
    {
        private readonly Tensor _weight = device.NewTensor(DType.Float32, new Shape(C));
        private readonly Tensor _bias = device.NewTensor(DType.Float32, new Shape(C));
        private readonly Tensor _input = device.NewTensor(DType.Float32, new Shape(n, C)).WithLiveRows(live);
        private readonly Tensor _mean = device.NewTensor(DType.Float32, new Shape(n)).WithLiveRows(live);
        private readonly Tensor _rstd = device.NewTensor(DType.Float32, new Shape(n)).WithLiveRows(live);

        public Tensor Output { get; } = device.NewTensor(DType.Float32, new Shape(n, C)).WithLiveRows(live);

        public Tensor DInput { get; } = device.NewTensor(DType.Float32, new Shape(n, C)).WithLiveRows(live);

        public Tensor DWeight { get; } = device.NewTensor(DType.Float32, new Shape(C));

        public void Fill(int rows)
        {
            device.Zero(Output);
            device.Zero(DInput);
            device.Zero(DWeight);
            _weight.CopyFrom<float>(TestData.Normal(DType.Float32, C, 1));
            _input.Rows(0, rows).CopyFrom<float>(TestData.Normal(DType.Float32, (long)rows * C, 2));
        }

        public void Step()
        {
            LayerNorm.Forward(_input, _weight, _bias, Output, _mean, _rstd, 1e-5f);
            LayerNorm.Backward(Output, _input, _weight, _mean, _rstd, DInput, DWeight, _bias);
            device.Zero(_bias);
        }
    }

    /// <summary>Patch embedding and mean pooling, and their gradients.</summary>
    private sealed class PictureTensors(CudaDevice device, int count, int size, int patch, int c, LiveRows? livePictures, LiveRows? liveRows)
    {
        private readonly int _rows = 1 + (size / patch * (size / patch));
        private readonly Tensor _pixels = device.NewTensor(DType.Float32, new Shape(count, 3, size, size)).WithLiveRows(livePictures);
        private readonly Tensor _starts = device.NewTensor(DType.Int32, new Shape(count + 1));
        private readonly Tensor _weight = device.NewTensor(DType.Float32, new Shape(c, 3 * patch * patch));
        private readonly Tensor _classToken = device.NewTensor(DType.Float32, new Shape(c));
        private readonly Tensor _position = device.NewTensor(DType.Float32, new Shape(1 + (size / patch * (size / patch)), c));
        private readonly Tensor _embedded = device.NewTensor(DType.Float32, new Shape(count * (1 + (size / patch * (size / patch))), c)).WithLiveRows(liveRows);
        private readonly Tensor _dPooled = device.NewTensor(DType.Float32, new Shape(count, c)).WithLiveRows(livePictures);

        public Tensor Pooled { get; } = device.NewTensor(DType.Float32, new Shape(count, c)).WithLiveRows(livePictures);

        public Tensor[] Gradients { get; } =
        [
            device.NewTensor(DType.Float32, new Shape(c, 3 * patch * patch)),
            device.NewTensor(DType.Float32, new Shape(c)),
            device.NewTensor(DType.Float32, new Shape(c)),
            device.NewTensor(DType.Float32, new Shape(1 + (size / patch * (size / patch)), c)),
        ];

        public void Fill(int pictures)
        {
            device.Zero(Pooled);
            foreach (Tensor gradient in Gradients)
            {
                device.Zero(gradient);
            }

            _weight.CopyFrom<float>(TestData.Normal(DType.Float32, _weight.Count, 1));
            _classToken.CopyFrom<float>(TestData.Normal(DType.Float32, c, 2));
            _position.CopyFrom<float>(TestData.Normal(DType.Float32, _position.Count, 3));
            _pixels.Rows(0, pictures).CopyFrom<float>(TestData.Normal(DType.Float32, 3L * pictures * size * size, 4));
            _dPooled.Rows(0, pictures).CopyFrom<float>(TestData.Normal(DType.Float32, (long)pictures * c, 5));
            _starts.CopyFrom<int>([.. Enumerable.Range(0, count + 1).Select(i => Math.Min(i, pictures) * _rows)]);
        }

        public void Step()
        {
            PatchEmbedding.Forward(_pixels, _weight, Gradients[1], _classToken, _position, _embedded, patch);
            Pooling.Forward(PoolingKind.Mean, _embedded, _starts, Pooled);
            Pooling.Backward(PoolingKind.Mean, _dPooled, _starts, _embedded);
            PatchEmbedding.Backward(_embedded, _pixels, Gradients[0], Gradients[1], Gradients[2], Gradients[3], patch);
        }
    }

    /// <summary>Embedding, GELU, dropout, residual and L2 norm, and their gradients.</summary>
    private sealed class TokenTensors(CudaDevice device, int n, LiveRows? live = null)
    {
        private const int TableRows = 7;

        private readonly Tensor _table = device.NewTensor(DType.Float32, new Shape(TableRows, C));
        private readonly Tensor _bias = device.NewTensor(DType.Float32, new Shape(C));
        private readonly Tensor _ids = device.NewTensor(DType.Int32, new Shape(n)).WithLiveRows(live);
        private readonly Tensor _keys = device.NewTensor(DType.Int32, new Shape(n, 2)).WithLiveRows(live);
        private readonly Tensor _embedded = device.NewTensor(DType.Float32, new Shape(n, C)).WithLiveRows(live);
        private readonly Tensor _activated = device.NewTensor(DType.Float32, new Shape(n, C)).WithLiveRows(live);
        private readonly Tensor _norm = device.NewTensor(DType.Float32, new Shape(n)).WithLiveRows(live);

        public Tensor Output { get; } = device.NewTensor(DType.Float32, new Shape(n, C)).WithLiveRows(live);

        public Tensor DInput { get; } = device.NewTensor(DType.Float32, new Shape(n, C)).WithLiveRows(live);

        public Tensor DBias { get; } = device.NewTensor(DType.Float32, new Shape(C));

        public Tensor DTable { get; } = device.NewTensor(DType.Float32, new Shape(TableRows, C));

        public void Fill(int rows)
        {
            device.Zero(Output);
            device.Zero(DInput);
            device.Zero(DBias);
            device.Zero(DTable);
            _table.CopyFrom<float>(TestData.Normal(DType.Float32, TableRows * C, 1));
            _bias.CopyFrom<float>(TestData.Normal(DType.Float32, C, 2));
            _ids.Rows(0, rows).CopyFrom<int>([.. Enumerable.Range(0, rows).Select(i => i * 3 % TableRows)]);
            _keys.Rows(0, rows).CopyFrom<int>([.. Enumerable.Range(0, 2 * rows)]);
        }

        public void Step()
        {
            DropoutSite site = new(0.25f, 3, 4, _keys);
            Embedding.Forward(_ids, _ids, default, _table, _table, default, _embedded);
            Gelu.Forward(GeluKind.Erf, _embedded, _bias, _activated);
            Dropout.Forward(_activated, _activated, site);
            Residual.Add(_activated, _embedded, _activated);
            L2Norm.Forward(_activated, Output, _norm);
            L2Norm.Backward(_embedded, Output, _norm, DInput);
            Dropout.Backward(DInput, DInput, site);
            Gelu.Backward(GeluKind.Erf, DInput, _embedded, _bias, DInput, DBias);
            Embedding.Backward(DInput, _ids, _ids, default, DTable, default, default);
        }
    }
}
