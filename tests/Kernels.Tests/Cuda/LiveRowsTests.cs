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
    [InlineData(Interleaving.Forward, DType.Float32)]
    [InlineData(Interleaving.Reverse, DType.Float32)]
    [InlineData(Interleaving.Random, DType.Float32)]
    [InlineData(Interleaving.Random, DType.BFloat16)]
    public void AReplayedGraphEqualsTheEagerStepForAnyNumberOfRows(Interleaving interleaving, DType dtype)
    {
        using CudaDevice device = CudaDevice.Emulate(new EmulationOptions { Interleaving = interleaving });
        Tensor rows = device.NewTensor(DType.Int32, new Shape(1));
        NormalisedRows full = new(device, dtype, Capacity, C, new LiveRows(Capacity, rows));
        full.Step();
        using CudaGraph graph = CudaGraph.Capture(device, full.Step);
        foreach (int n in (int[])[Capacity, 37, 1, 64])
        {
            NormalisedRows eager = new(device, dtype, n, C);
            AssertReplay(eager, full, n, () =>
            {
                rows.CopyFrom<int>([n]);
                graph.Launch();
            });
        }
    }

    [Theory]
    [InlineData(DType.Float32)]
    [InlineData(DType.BFloat16)]
    public void AReplayedGraphOfTheTokensOtherOperationsEqualsTheEagerStep(DType dtype)
    {
        using CudaDevice device = CudaDevice.Emulate(new EmulationOptions());
        Tensor rows = device.NewTensor(DType.Int32, new Shape(1));
        rows.CopyFrom<int>([Capacity]);
        TokenRows full = new(device, dtype, Capacity, C, new LiveRows(Capacity, rows));
        full.Fill(Capacity);
        full.Step();
        using CudaGraph graph = CudaGraph.Capture(device, full.Step);
        foreach (int n in (int[])[Capacity, 37, 1, 64])
        {
            TokenRows eager = new(device, dtype, n, C);
            AssertReplay(eager, full, n, () =>
            {
                rows.CopyFrom<int>([n]);
                graph.Launch();
            });
        }
    }

    [Theory]
    [InlineData(MatMulPrecision.Float32, MatMulEngine.Own, DType.Float32, 20, 65535)]
    [InlineData(MatMulPrecision.BFloat16, MatMulEngine.Own, DType.Float32, 33, 65535)]
    [InlineData(MatMulPrecision.BFloat16, MatMulEngine.Own, DType.BFloat16, 20, 65535)]
    [InlineData(MatMulPrecision.Float32, MatMulEngine.Cublas, DType.Float32, 20, 65535)]
    [InlineData(MatMulPrecision.Float32, MatMulEngine.Own, DType.Float32, 20, 40)]
    [InlineData(MatMulPrecision.BFloat16, MatMulEngine.Own, DType.Float32, 20, 40)]
    [InlineData(MatMulPrecision.Float32, MatMulEngine.Cublas, DType.Float32, 20, 40)]
    public void AReplayedGraphOfPicturesEqualsTheEagerStepForAnyNumberOfThem(
        MatMulPrecision precision, MatMulEngine engine, DType dtype, int c, int maxGridRows)
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
        PictureRows full = new(
            device, dtype, Pictures, Size, Patch, c, new LiveRows(Pictures, numbers.Rows(0, 1)), new LiveRows(Pictures * rows, numbers.Rows(1, 1)));
        full.Fill(Pictures);
        full.Step();
        using CudaGraph graph = CudaGraph.Capture(device, full.Step);
        foreach (int n in counts)
        {
            PictureRows eager = new(device, dtype, n, Size, Patch, c, null, null);
            AssertReplay(eager, full, n, () =>
            {
                numbers.CopyFrom<int>([n, n * rows]);
                graph.Launch();
            });
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

    /// <summary>The bits of a step of just those rows, and nothing written behind them.</summary>
    private static void AssertReplay(LiveRowsStep eager, LiveRowsStep full, int n, Action replay)
    {
        eager.Fill(n);
        eager.Step();
        full.Fill(n);
        replay();
        foreach ((Tensor expected, Tensor actual) in eager.Rows.Zip(full.Rows))
        {
            float[] values = LiveRowsStep.Read(actual);
            int live = values.Length / actual.Shape[0] * n;
            Assert.Equal(LiveRowsStep.Read(expected), values[..live]);
            Assert.Contains(values[..live], v => v != 0);
            Assert.All(values[live..], v => Assert.Equal(LiveRowsStep.Untouched, v));
        }

        foreach ((Tensor expected, Tensor actual) in eager.Gradients.Zip(full.Gradients))
        {
            float[] values = LiveRowsStep.Read(actual);
            Assert.Equal(LiveRowsStep.Read(expected), values);
            Assert.Contains(values, v => v != 0);
        }
    }
}
