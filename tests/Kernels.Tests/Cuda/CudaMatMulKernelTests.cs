using System.Diagnostics;
using CrossAlign.Kernels.Cuda;
using CrossAlign.Kernels.Tests.Harness;
using CrossAlign.Reference;
using CrossAlign.Runtime;
using CrossAlign.Runtime.Cuda;
using CrossAlign.Runtime.Cuda.Emulation;

namespace CrossAlign.Kernels.Tests.Cuda;

/// <summary>What only the kernels of <c>matmul.cu</c> promise: precisions, counters, rows read from the device, and which engine multiplies.</summary>
public sealed class CudaMatMulKernelTests
{
    private static readonly (MatMulPrecision Precision, string Suffix)[] s_units =
        [(MatMulPrecision.BFloat16, "bf16"), (MatMulPrecision.Tf32, "tf32"), (MatMulPrecision.Float32, "f32")];

    public static TheoryData<ulong, MatMulPrecision, MatMulLayout> Units()
    {
        TheoryData<ulong, MatMulPrecision, MatMulLayout> data = [];
        foreach (ulong seed in (ulong[])[0, 1, 2, 3, 4])
        {
            foreach ((MatMulPrecision precision, _) in s_units)
            {
                foreach (MatMulLayout layout in Enum.GetValues<MatMulLayout>())
                {
                    data.Add(seed, precision, layout);
                }
            }
        }

        return data;
    }

    [Theory]
    [MemberData(nameof(Units))]
    public void EachPrecisionIsWithinTheBudgetOfItsRoundedOperands(ulong seed, MatMulPrecision precision, MatMulLayout layout)
    {
        using CudaDevice device = CudaDevice.Emulate(EmulationOptions.ForSeed(seed));
        device.MatMulPrecision = precision;

        // 777 deep: chains of the tensor cores that would be truncated hundreds of times if they were not cut.
        const int M = 70, N = 90, K = 777;
        float[] a = TestData.Normal(DType.Float32, M * K, 1);
        float[] b = TestData.Normal(DType.Float32, N * K, 2);
        Tensor output = device.NewTensor(DType.Float32, new Shape(M, N));
        MatMul.Run(Upload(device, a, layout == MatMulLayout.TN ? K : M), Upload(device, b, layout == MatMulLayout.NT ? N : K), output, layout);
        float[] x = Array.ConvertAll(a, v => Round(v, precision));
        float[] y = Array.ConvertAll(b, v => Round(v, precision));
        bool left = layout == MatMulLayout.TN;
        bool right = layout == MatMulLayout.NT;
        double[] expected = MatMulReference.Run(TestData.ToDouble(x), TestData.ToDouble(y), [], M, N, K, left, right, 1.0);
        float[] twin = MatMulReference.Run(x, y, [], M, N, K, left, right, 1f);
        ErrorBudget.AssertForward(expected, twin, output.ToArray<float>(), DType.Float32, "output");
        if (precision != MatMulPrecision.Float32)
        {
            double[] unrounded = MatMulReference.Run(TestData.ToDouble(a), TestData.ToDouble(b), [], M, N, K, left, right, 1.0);
            float[] plain = MatMulReference.Run(a, b, [], M, N, K, left, right, 1f);
            Assert.NotNull(ErrorBudget.Explain(unrounded, plain, output.ToArray<float>(), DType.Float32, ErrorBudget.ForwardFactor, "output"));
        }
    }

    [Theory]
    [InlineData(MatMulPrecision.BFloat16, MatMulLayout.NN)]
    [InlineData(MatMulPrecision.Tf32, MatMulLayout.NN)]
    [InlineData(MatMulPrecision.BFloat16, MatMulLayout.NT)]
    [InlineData(MatMulPrecision.Tf32, MatMulLayout.NT)]
    public void TensorCoresSumNoFurtherThan64Deep(MatMulPrecision precision, MatMulLayout layout)
    {
        // The product has the bits of the parts' 64 deep added one to the other, which float32 does without cutting off.
        const int M = 40, N = 24, Chain = 64, K = (3 * Chain) + 40;
        using CudaDevice device = CudaDevice.Emulate(new EmulationOptions());
        device.MatMulPrecision = precision;
        float[] a = TestData.Normal(DType.Float32, M * K, 1);
        float[] b = TestData.Normal(DType.Float32, K * N, 2);
        Tensor whole = device.NewTensor(DType.Float32, new Shape(M, N));
        Tensor parts = device.NewTensor(DType.Float32, new Shape(M, N));
        Multiply(0, K, whole);
        for (int first = 0; first < K; first += Chain)
        {
            Multiply(first, Math.Min(Chain, K - first), parts);
        }

        Assert.Equal(parts.ToArray<float>(), whole.ToArray<float>());

        void Multiply(int first, int depth, Tensor output)
        {
            float[] left = [.. Enumerable.Range(0, M * depth).Select(i => a[(i / depth * K) + first + (i % depth)])];
            float[] right = layout == MatMulLayout.NN
                ? b[(first * N)..((first + depth) * N)]
                : [.. Enumerable.Range(0, N * depth).Select(i => b[((first + (i % depth)) * N) + (i / depth)])];
            MatMul.Run(Upload(device, left, M), Upload(device, right, layout == MatMulLayout.NN ? depth : N), output, layout, accumulate: first > 0);
        }
    }

    [Theory]
    [InlineData(DType.Float32)]
    [InlineData(DType.BFloat16)]
    public void AlignedProductsHaveNoBankConflictAndTouchNoMoreSectorsThanTheyMust(DType outputType)
    {
        using CudaDevice device = CudaDevice.Emulate(new EmulationOptions());
        foreach ((MatMulPrecision precision, string suffix) in s_units)
        {
            DType dtype = precision == MatMulPrecision.BFloat16 ? DType.BFloat16 : DType.Float32;
            device.MatMulPrecision = precision;
            foreach (MatMulLayout layout in Enum.GetValues<MatMulLayout>())
            {
                const int M = 256, N = 128, K = 192;
                Tensor a = device.NewTensor(dtype, layout == MatMulLayout.TN ? new Shape(K, M) : new Shape(M, K));
                Tensor b = device.NewTensor(dtype, layout == MatMulLayout.NT ? new Shape(N, K) : new Shape(K, N));
                MatMul.Run(a, b, device.NewTensor(outputType, new Shape(M, N)), layout, accumulate: true);
                device.Synchronize();
                KernelCounters counters = device.Emulation!.ReadCounters()[FormattableString.Invariant($"matmul_{layout.ToString().ToLowerInvariant()}_{suffix}")];
                Assert.Equal(counters.MinSharedWavefrontCount, counters.SharedWavefrontCount);
                Assert.InRange(counters.GlobalSectorCount, 1, (long)(1.05 * counters.MinGlobalSectorCount));
                Assert.Equal(precision == MatMulPrecision.Float32 ? 0 : 2L * M * N * K, counters.MmaOperationCount);

                // As the header of matmul.cu says: a once a column tile (one here), b once a row tile (two).
                Assert.Equal((((long)M * K) + (2L * N * K)) * dtype.ByteSize() + (layout == MatMulLayout.TN ? 0 : (long)M * N * outputType.ByteSize()), counters.GlobalReadByteCount);
            }
        }
    }

    [Fact]
    public void ATensorCoreProductOfAThousandRowsTakesSeconds()
    {
        using CudaDevice device = CudaDevice.Emulate(new EmulationOptions());
        Tensor a = device.NewTensor(DType.BFloat16, new Shape(1024, 512));
        Tensor output = device.NewTensor(DType.Float32, new Shape(1024, 1024));

        // Other tests may have the machine at the same time: once in three must do.
        int runs = 0;
        double seconds;
        do
        {
            long start = Stopwatch.GetTimestamp();
            MatMul.Run(a, a, output, MatMulLayout.NT);
            device.Synchronize();
            seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
            runs++;
        }
        while (seconds > 20 && runs < 3);

        Assert.InRange(seconds, 0, 20);
        Assert.Equal(runs * 2L * 1024 * 1024 * 512, device.Emulation!.ReadCounters()["matmul_nt_bf16"].MmaOperationCount);
    }

    [Theory]
    [InlineData(Interleaving.Forward)]
    [InlineData(Interleaving.Reverse)]
    [InlineData(Interleaving.Random)]
    public void AReplayedGraphOfALinearLayerEqualsTheEagerStepForAnyNumberOfRows(Interleaving interleaving)
    {
        const int Capacity = 160;
        using CudaDevice device = CudaDevice.Emulate(new EmulationOptions { Interleaving = interleaving });
        Tensor rows = device.NewTensor(DType.Int32, new Shape(1));
        foreach (DType dtype in (DType[])[DType.Float32, DType.BFloat16])
        {
            Layer full = new(device, dtype, Capacity, new LiveRows(Capacity, rows));
            rows.CopyFrom<int>([Capacity]);
            full.Fill(Capacity);
            full.Step();
            using CudaGraph graph = CudaGraph.Capture(device, full.Step);
            foreach (int n in (int[])[Capacity, 37, 1, 0, 129])
            {
                Layer eager = new(device, dtype, n, null);
                eager.Fill(n);
                eager.Step();
                full.Fill(n);
                rows.CopyFrom<int>([n]);
                graph.Launch();
                Assert.Equal(Bytes(eager.Output), Bytes(full.Output.Rows(0, n)));
                Assert.Equal(Bytes(eager.DInput), Bytes(full.DInput.Rows(0, n)));
                Assert.Equal(eager.DWeight.ToArray<float>(), full.DWeight.ToArray<float>());
                Assert.Equal(eager.DBias.ToArray<float>(), full.DBias.ToArray<float>());
                Assert.Equal(-1, Bytes(full.Output.Rows(n, Capacity - n)).AsSpan().IndexOfAnyExcept((byte)0));
            }
        }
    }

    [Fact]
    public void TheEngineIsOursOnTheEmulatedDeviceAndOnRequestCublas()
    {
        using CudaDevice device = CudaDevice.Emulate(new EmulationOptions());
        Assert.Equal(MatMulEngine.Own, device.MatMulEngine);
        Tensor a = device.NewTensor(DType.Float32, new Shape(8, 8));
        Tensor output = device.NewTensor(DType.Float32, new Shape(8, 8));
        MatMul.Run(a, a, output, MatMulLayout.NN);
        device.MatMulEngine = MatMulEngine.Cublas;
        MatMul.Run(a, a, output, MatMulLayout.NN);
        device.MatMulPrecision = MatMulPrecision.Tf32;
        MatMul.Run(a, a, output, MatMulLayout.NN);
        device.Synchronize();
        Assert.Equal(["cublas_gemm_f32", "cublas_gemm_tf32", "matmul_nn_f32"], device.Emulation!.ReadCounters().Keys.Order(StringComparer.Ordinal));
        Assert.Throws<ArgumentOutOfRangeException>(() => device.MatMulEngine = (MatMulEngine)5);

        using CudaDevice without = new(new EmulatedDriver(new EmulationOptions()), null, 0, "cuda:0", poolsMemory: false);
        NotSupportedException e = Assert.Throws<NotSupportedException>(() => without.MatMulEngine = MatMulEngine.Cublas);
        Assert.Contains("matmul=own", e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void ATensorBoundToLiveRowsAloneIsRefused()
    {
        using CudaDevice device = CudaDevice.Emulate(new EmulationOptions());
        LiveRows rows = new(8, device.NewTensor(DType.Int32, new Shape(1)));
        Tensor bound = device.NewTensor(DType.Float32, new Shape(8, 8)).WithLiveRows(rows);
        Tensor free = device.NewTensor(DType.Float32, new Shape(8, 8));
        Assert.Throws<ArgumentException>(() => MatMul.Run(bound, free, free, MatMulLayout.NT));
        Assert.Throws<ArgumentException>(() => MatMul.Run(bound, bound, bound, MatMulLayout.NT));
        Assert.Throws<ArgumentException>(() => MatMul.Run(bound, free, free, MatMulLayout.TN));
    }

    [Theory]
    [InlineData(DType.Float32, DType.BFloat16)]
    [InlineData(DType.BFloat16, DType.Float32)]
    [InlineData(DType.BFloat16, DType.BFloat16)]
    public void RowsArePackedInSlicesAndDeadOnesAreLeft(DType from, DType to)
    {
        // A grid of 16 rows: 40 rows are packed in three launches, and the live ones may end in each of them.
        const int Rows = 40, Columns = 5, SourceStride = 6, Stride = 8;
        using CudaDevice device = CudaDevice.Emulate(new EmulationOptions { MaxGridRows = 16 });
        Tensor live = device.NewTensor(DType.Int32, new Shape(1));
        float[] values = TestData.Whole(Rows * SourceStride, 1, 50);
        foreach (int count in (int[])[0, 1, 15, 16, 17, 33, 40, -1])
        {
            int packed = count < 0 ? Rows : count;
            live.CopyFrom<int>([Math.Max(count, 0)]);
            Tensor source = device.NewTensor(from, new Shape(Rows, SourceStride));
            Tensor destination = device.NewTensor(to, new Shape(Rows, Stride));
            Write(source, values);
            Write(destination, [.. Enumerable.Repeat(77f, Rows * Stride)]);
            if (packed < Rows)
            {
                // Nobody may read behind the live rows.
                device.Synchronize();
                device.Emulation!.MarkUninitialised(source.Rows(packed, Rows - packed).Address, source.Rows(packed, Rows - packed).ByteCount);
            }

            CudaMatMul.Pack(device, from, to, source.Address, destination.Address, count < 0 ? 0 : live.Address, (Rows, Columns), SourceStride, Stride);
            float[] actual = Read(destination);
            for (int i = 0; i < actual.Length; i++)
            {
                (int row, int column) = Math.DivRem(i, Stride);
                Assert.Equal(row >= packed ? 77 : column < Columns ? values[(row * SourceStride) + column] : 0, actual[i]);
            }
        }
    }

    [Theory]
    [InlineData(DType.Float32)]
    [InlineData(DType.BFloat16)]
    public void AllDeadRowsAreClearedForAProductThatTakesItsSizesFromTheHost(DType dtype)
    {
        // More dead rows than the launch has strips (16 here), each with numbers that would spoil a sum.
        const int Capacity = 70, Inputs = 12, Outputs = 20;
        using CudaDevice device = CudaDevice.Emulate(new EmulationOptions { MaxGridRows = 16 });
        device.MatMulEngine = MatMulEngine.Cublas;
        Tensor count = device.NewTensor(DType.Int32, new Shape(1));
        LiveRows live = new(Capacity, count);
        Tensor a = device.NewTensor(dtype, new Shape(Capacity, Outputs));
        Tensor b = device.NewTensor(dtype, new Shape(Capacity, Inputs));
        Tensor output = device.NewTensor(DType.Float32, new Shape(Outputs, Inputs));
        float[] left = TestData.Whole(Capacity * Outputs, 1);
        float[] right = TestData.Whole(Capacity * Inputs, 2);
        foreach (int rows in (int[])[0, 3, 54, 69, 70])
        {
            count.CopyFrom<int>([rows]);
            float[] spoiltLeft = [.. left[..(rows * Outputs)], .. Enumerable.Repeat(float.NaN, (Capacity - rows) * Outputs)];
            float[] spoiltRight = [.. right[..(rows * Inputs)], .. Enumerable.Repeat(float.PositiveInfinity, (Capacity - rows) * Inputs)];
            Write(a, spoiltLeft);
            Write(b, spoiltRight);
            MatMul.Run(a.WithLiveRows(live), b.WithLiveRows(live), output, MatMulLayout.TN);
            float[] expected = MatMulReference.Run(left[..(rows * Outputs)], right[..(rows * Inputs)], [], Outputs, Inputs, rows, true, false, 1f);
            Assert.Equal(expected, output.ToArray<float>());
        }
    }

    private static void Write(in Tensor tensor, float[] values)
    {
        if (tensor.DType == DType.Float32)
        {
            tensor.CopyFrom<float>(values);
        }
        else
        {
            tensor.CopyFrom<BFloat16>(Array.ConvertAll(values, BFloat16.FromSingle));
        }
    }

    private static float[] Read(in Tensor tensor) =>
        tensor.DType == DType.Float32 ? tensor.ToArray<float>() : Array.ConvertAll(tensor.ToArray<BFloat16>(), v => v.ToSingle());

    private static byte[] Bytes(in Tensor tensor)
    {
        byte[] bytes = new byte[tensor.ByteCount];
        tensor.Device.CopyToHost(tensor, bytes);
        return bytes;
    }

    private static Tensor Upload(CudaDevice device, float[] values, int rows)
    {
        Tensor tensor = device.NewTensor(DType.Float32, new Shape(rows, values.Length / rows));
        tensor.CopyFrom<float>(values);
        return tensor;
    }

    private static float Round(float value, MatMulPrecision precision) => precision switch
    {
        MatMulPrecision.BFloat16 => BFloat16.FromSingle(value).ToSingle(),
        MatMulPrecision.Tf32 => BitConverter.UInt32BitsToSingle((BitConverter.SingleToUInt32Bits(value) + 0x1000) & 0xFFFFE000),
        _ => value,
    };

    private sealed class Layer(CudaDevice device, DType dtype, int n, LiveRows? rows)
    {
        // 36 outputs: rows that are packed in bfloat16, and with 48 inputs one tile, so that the depth is dealt out.
        private const int Inputs = 48;
        private const int Outputs = 36;

        private readonly Tensor _input = device.NewTensor(dtype, new Shape(n, Inputs)).WithLiveRows(rows);
        private readonly Tensor _weight = device.NewTensor(dtype, new Shape(Outputs, Inputs));
        private readonly Tensor _bias = device.NewTensor(DType.Float32, new Shape(Outputs));

        public Tensor Output { get; } = device.NewTensor(dtype, new Shape(n, Outputs)).WithLiveRows(rows);

        public Tensor DInput { get; } = device.NewTensor(dtype, new Shape(n, Inputs)).WithLiveRows(rows);

        public Tensor DWeight { get; } = device.NewTensor(DType.Float32, new Shape(Outputs, Inputs));

        public Tensor DBias { get; } = device.NewTensor(DType.Float32, new Shape(Outputs));

        public void Fill(int count)
        {
            foreach (Tensor tensor in (Tensor[])[Output, DInput, DWeight, DBias])
            {
                device.Zero(tensor);
            }

            Fill(_input.Rows(0, count), 1);
            Fill(_weight, 2);
            Fill(_bias, 3);
        }

        public void Step()
        {
            Linear.Forward(_input, _weight, _bias, Output);
            Linear.Backward(Output, _input, _weight, DInput, DWeight, DBias);
        }

        private static void Fill(in Tensor tensor, uint seed)
        {
            Write(tensor, TestData.Normal(tensor.DType, tensor.Count, seed));
        }
    }
}
