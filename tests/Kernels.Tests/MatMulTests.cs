using CrossAlign.Kernels.Cpu.Products;
using CrossAlign.Kernels.Tests.Harness;
using CrossAlign.Reference;
using CrossAlign.Runtime;

namespace CrossAlign.Kernels.Tests;

public abstract class MatMulTests(Backend backend)
{
    protected Backend Backend { get; } = backend;

    /// <summary>Around every tile size of every backend (6, 8, 16, 32 and their neighbours), primes, thin and deep ones.</summary>
    public static TheoryData<MatMulLayout, int, int, int> Shapes()
    {
        (int, int, int)[] shapes =
        [
            (0, 4, 4), (4, 0, 4), (4, 4, 0), (1, 1, 1), (2, 3, 5), (1, 33, 40), (5, 15, 8), (6, 16, 32), (7, 17, 31), (8, 31, 33),
            (9, 32, 2), (13, 7, 385), (31, 33, 9), (37, 64, 65), (128, 48, 96), (145, 129, 67), (3, 100, 769), (96, 48, 1000), (61, 20, 1531),
        ];
        TheoryData<MatMulLayout, int, int, int> data = [];
        foreach (MatMulLayout layout in Enum.GetValues<MatMulLayout>())
        {
            foreach ((int m, int n, int k) in shapes)
            {
                data.Add(layout, m, n, k);
            }
        }

        return data;
    }

    [Theory]
    [MemberData(nameof(Shapes))]
    public void IsWithinTheErrorBudget(MatMulLayout layout, int m, int n, int k)
    {
        Problem x = new(layout, m, n, k);
        Tensor output = Backend.Poisoned(DType.Float32, new Shape(m, n));
        MatMul.Run(x.UploadA(Backend), x.UploadB(Backend), output, layout);
        ErrorBudget.AssertForward(x.Expected(1), x.Twin(1), Backend.Download(output), DType.Float32, "output");
        Backend.CheckGuards();
    }

    [Theory]
    [MemberData(nameof(Shapes))]
    public void AccumulatesAlphaTimesTheProduct(MatMulLayout layout, int m, int n, int k)
    {
        Problem x = new(layout, m, n, k) { Before = TestData.Normal(DType.Float32, (long)m * n, 3) };
        Tensor output = Backend.Upload(DType.Float32, new Shape(m, n), x.Before);
        MatMul.Run(x.UploadA(Backend), x.UploadB(Backend), output, layout, alpha: -0.7f, accumulate: true);
        ErrorBudget.AssertForward(x.Expected(-0.7f), x.Twin(-0.7f), Backend.Download(output), DType.Float32, "output");
        Backend.CheckGuards();
    }

    [Theory]
    [MemberData(nameof(Shapes))]
    public void WholeNumbersAreMultipliedExactly(MatMulLayout layout, int m, int n, int k)
    {
        Problem x = new(layout, m, n, k);
        x = x with { A = TestData.Whole(x.A.Length, 4), B = TestData.Whole(x.B.Length, 5) };
        Tensor output = Backend.Poisoned(DType.Float32, new Shape(m, n));
        MatMul.Run(x.UploadA(Backend), x.UploadB(Backend), output, layout, alpha: 2);
        Assert.Equal(Array.ConvertAll(x.Expected(2), v => (float)v), Backend.Download(output));
    }

    [Theory]
    [MemberData(nameof(Shapes))]
    public void BFloat16OperandsAndResultsAccumulateInFloat32(MatMulLayout layout, int m, int n, int k)
    {
        Problem x = new(layout, m, n, k) { DType = DType.BFloat16 };
        Tensor output = Backend.Poisoned(DType.BFloat16, new Shape(m, n));
        Tensor wide = Backend.Poisoned(DType.Float32, new Shape(m, n));
        Tensor a = x.UploadA(Backend);
        Tensor b = x.UploadB(Backend);
        MatMul.Run(a, b, output, layout);
        MatMul.Run(a, b, wide, layout);
        ErrorBudget.AssertForward(x.Expected(1), x.Twin(1), Backend.Download(wide), DType.Float32, "float32 output");
        Assert.Equal(Array.ConvertAll(Backend.Download(wide), v => BFloat16.FromSingle(v).ToSingle()), Backend.Download(output));

        MatMul.Run(a, b, output, layout, alpha: 0.5f, accumulate: true);
        float[] once = Backend.Download(wide);
        float[] sums = once.Select(v => BFloat16.FromSingle(BFloat16.FromSingle(v).ToSingle() + (0.5f * v)).ToSingle()).ToArray();
        ErrorBudget.AssertForward(TestData.ToDouble(sums), sums, Backend.Download(output), DType.BFloat16, "bfloat16 sum");
        Backend.CheckGuards();
    }

    [Theory]
    [InlineData(MatMulLayout.NN)]
    [InlineData(MatMulLayout.NT)]
    [InlineData(MatMulLayout.TN)]
    public void AViewThatLiesAskewIsMultipliedAsOneThatDoesNot(MatMulLayout layout) => Backend.WithEachTensorAskew(() =>
    {
        IsWithinTheErrorBudget(layout, 40, 24, 72);
        AccumulatesAlphaTimesTheProduct(layout, 40, 24, 72);
        BFloat16OperandsAndResultsAccumulateInFloat32(layout, 40, 24, 72);
    });

    [Theory]
    [InlineData(DType.Float32, DType.BFloat16, DType.Float32)]
    [InlineData(DType.BFloat16, DType.Float32, DType.Float32)]
    [InlineData(DType.Float32, DType.Float32, DType.BFloat16)]
    [InlineData(DType.BFloat16, DType.Float32, DType.BFloat16)]
    public void StorageTypesMix(DType aType, DType bType, DType outputType)
    {
        foreach (MatMulLayout layout in Enum.GetValues<MatMulLayout>())
        {
            Problem x = new(layout, 45, 37, 70);
            x = x with { A = TestData.Whole(x.A.Length, 6), B = TestData.Whole(x.B.Length, 7) };
            Tensor output = Backend.Poisoned(outputType, new Shape(45, 37));
            MatMul.Run(Backend.Upload(aType, x.ShapeA, x.A), Backend.Upload(bType, x.ShapeB, x.B), output, layout);
            float[] expected = Array.ConvertAll(x.Expected(1), v => outputType == DType.BFloat16 ? BFloat16.FromSingle((float)v).ToSingle() : (float)v);
            Assert.Equal(expected, Backend.Download(output));
        }
    }

    [Theory]
    [InlineData(MatMulLayout.NN)]
    [InlineData(MatMulLayout.NT)]
    public void ARowDependsOnNoOtherRow(MatMulLayout layout)
    {
        Problem x = new(layout, 150, 70, 500);
        Tensor a = x.UploadA(Backend);
        Tensor b = x.UploadB(Backend);
        Tensor all = Backend.Poisoned(DType.Float32, new Shape(150, 70));
        MatMul.Run(a, b, all, layout);
        foreach ((int start, int count) in ((int, int)[])[(0, 1), (149, 1), (3, 5), (77, 64)])
        {
            Tensor some = Backend.Poisoned(DType.Float32, new Shape(count, 70));
            MatMul.Run(a.Rows(start, count), b, some, layout);
            Assert.Equal(Backend.Download(all.Rows(start, count)), Backend.Download(some));
        }
    }

    [Fact]
    public void NotANumberStaysInItsRowAndColumn()
    {
        foreach (MatMulLayout layout in Enum.GetValues<MatMulLayout>())
        {
            Problem x = new(layout, 20, 40, 30);
            x.A[layout == MatMulLayout.TN ? (4 * 20) + 11 : (11 * 30) + 4] = float.NaN;
            Tensor output = Backend.Poisoned(DType.Float32, new Shape(20, 40));
            MatMul.Run(x.UploadA(Backend), x.UploadB(Backend), output, layout);
            float[] values = Backend.Download(output);
            for (int i = 0; i < values.Length; i++)
            {
                Assert.Equal(i / 40 == 11, float.IsNaN(values[i]));
            }
        }
    }

    [Fact]
    public void BrokenProductsAreRefused()
    {
        // What the cases above must catch: alpha dropped, the last column or the last k lost, an operand not transposed.
        Problem x = new(MatMulLayout.NT, 13, 13, 13);
        float[] right = x.Twin(0.9f);
        double[] expected = x.Expected(0.9f);
        Assert.Null(Explain(right));
        Assert.NotNull(Explain(x.Twin(1)));
        float[] lastColumnLost = (float[])right.Clone();
        lastColumnLost[12] = 0;
        Assert.NotNull(Explain(lastColumnLost));
        Problem shallow = x with { A = (float[])x.A.Clone() };
        for (int row = 0; row < 13; row++)
        {
            shallow.A[(row * 13) + 12] = 0;
        }

        Assert.NotNull(Explain(shallow.Twin(0.9f)));
        Assert.NotNull(Explain((x with { Layout = MatMulLayout.NN }).Twin(0.9f)));

        string? Explain(float[] actual) => ErrorBudget.Explain(expected, right, actual, DType.Float32, ErrorBudget.ForwardFactor, "output");
    }

    [Fact]
    public void AWrongShapeIsRefusedByName()
    {
        Tensor a = Backend.Poisoned(DType.Float32, new Shape(4, 8));
        Tensor output = Backend.Poisoned(DType.Float32, new Shape(4, 4));
        ArgumentException e = Assert.Throws<ArgumentException>(() => MatMul.Run(a, a, output, MatMulLayout.NN));
        Assert.Contains("b is Float32 (4, 8); it must be Float32 (8, 8)", e.Message, StringComparison.Ordinal);
        e = Assert.Throws<ArgumentException>(() => MatMul.Run(a, a, a, MatMulLayout.NT));
        Assert.Contains("output is Float32 (4, 8); it must be Float32 (4, 4)", e.Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>(() => MatMul.Run(a, a, default, MatMulLayout.NT));
        Assert.Throws<ArgumentOutOfRangeException>(() => MatMul.Run(a, a, output, (MatMulLayout)3));
    }

    protected sealed record Problem(MatMulLayout Layout, int M, int N, int K)
    {
        private float[]? _a;
        private float[]? _b;

        public DType DType { get; init; } = DType.Float32;

        public float[] A
        {
            get => _a ??= TestData.Normal(DType, (long)M * K, 1);
            init => _a = value;
        }

        public float[] B
        {
            get => _b ??= TestData.Normal(DType, (long)N * K, 2);
            init => _b = value;
        }

        public float[] Before { get; init; } = [];

        public Shape ShapeA => Layout == MatMulLayout.TN ? new Shape(K, M) : new Shape(M, K);

        public Shape ShapeB => Layout == MatMulLayout.NT ? new Shape(N, K) : new Shape(K, N);

        public Tensor UploadA(Backend backend) => backend.Upload(DType, ShapeA, A);

        public Tensor UploadB(Backend backend) => backend.Upload(DType, ShapeB, B);

        public double[] Expected(float alpha) => MatMulReference.Run(
            TestData.ToDouble(A), TestData.ToDouble(B), TestData.ToDouble(Before), M, N, K, Layout == MatMulLayout.TN, Layout == MatMulLayout.NT, (double)alpha);

        public float[] Twin(float alpha) =>
            MatMulReference.Run(A, B, Before, M, N, K, Layout == MatMulLayout.TN, Layout == MatMulLayout.NT, alpha);
    }
}

public sealed class CpuMatMulTests(CpuBackend backend) : MatMulTests(backend), IClassFixture<CpuBackend>
{
    public static TheoryData<MatMulLayout, int, int, int> LargerShapes() => new()
    {
        { MatMulLayout.NN, 700, 150, 200 },
        { MatMulLayout.NT, 700, 150, 900 },
        { MatMulLayout.NT, 3, 1200, 700 },
        { MatMulLayout.TN, 96, 130, 3000 },
        { MatMulLayout.TN, 500, 300, 900 },
    };

    [Theory]
    [MemberData(nameof(LargerShapes))]
    public void AnyNumberOfThreadsGivesTheSameBits(MatMulLayout layout, int m, int n, int k)
    {
        Problem x = new(layout, m, n, k);
        float[]? first = null;
        foreach (int threads in (int[])[1, 2, 3, 5])
        {
            using CpuBackend cpu = new(threads);
            Tensor output = cpu.Poisoned(DType.Float32, new Shape(m, n));
            MatMul.Run(x.UploadA(cpu), x.UploadB(cpu), output, layout);
            float[] values = cpu.Download(output);
            cpu.CheckGuards();
            first ??= values;
            Assert.Equal(first, values);
        }
    }

    [Theory]
    [MemberData(nameof(LargerShapes))]
    public void BFloat16PrecisionRoundsTheOperandsAndNothingElse(MatMulLayout layout, int m, int n, int k)
    {
        using CpuBackend cpu = new(2);
        Problem x = new(layout, m, n, k);
        Tensor rounded = cpu.Poisoned(DType.Float32, new Shape(m, n));
        Tensor stored = cpu.Poisoned(DType.Float32, new Shape(m, n));
        MatMul.Run(cpu.Upload(DType.BFloat16, x.ShapeA, x.A), cpu.Upload(DType.BFloat16, x.ShapeB, x.B), stored, layout);
        cpu.Device.MatMulPrecision = MatMulPrecision.BFloat16;
        MatMul.Run(x.UploadA(cpu), x.UploadB(cpu), rounded, layout);
        if (BFloat16Products.Mode == BFloat16Mode.None)
        {
            // The processor's own products add the numbers of a pair in the other order; the error budget of the next test holds for them.
            Assert.Equal(cpu.Download(stored), cpu.Download(rounded));
        }

        cpu.Device.MatMulPrecision = MatMulPrecision.Float32;
        MatMul.Run(x.UploadA(cpu), x.UploadB(cpu), rounded, layout);
        Assert.NotEqual(cpu.Download(stored), cpu.Download(rounded));
    }

    [Theory]
    [MemberData(nameof(Shapes))]
    public void BFloat16PrecisionIsWithinTheErrorBudgetOfRoundedOperands(MatMulLayout layout, int m, int n, int k)
    {
        using CpuBackend cpu = new(2);
        cpu.Device.MatMulPrecision = MatMulPrecision.BFloat16;
        Problem x = new(layout, m, n, k) { DType = DType.BFloat16, Before = TestData.Normal(DType.Float32, (long)m * n, 3) };
        Tensor output = cpu.Upload(DType.Float32, new Shape(m, n), x.Before);
        MatMul.Run(cpu.Upload(DType.Float32, x.ShapeA, x.A), cpu.Upload(DType.Float32, x.ShapeB, x.B), output, layout, alpha: -0.7f, accumulate: true);
        ErrorBudget.AssertForward(x.Expected(-0.7f), x.Twin(-0.7f), cpu.Download(output), DType.Float32, "output");
        cpu.CheckGuards();
    }

    [Fact]
    public void TheProcessorRefusesTf32()
    {
        using CpuDevice device = new(1);
        NotSupportedException e = Assert.Throws<NotSupportedException>(() => device.MatMulPrecision = MatMulPrecision.Tf32);
        Assert.Contains("no TF32", e.Message, StringComparison.Ordinal);
        Assert.Equal(MatMulPrecision.Float32, device.MatMulPrecision);
        Assert.Throws<NotSupportedException>(() => device.MatMulPrecision = (MatMulPrecision)7);
    }

    [Fact]
    [Trait("Speed", "Slow")]
    public void TheRateIsMeasuredAndThePrecisionRestored()
    {
        double rate = MatMulRate.MeasureGflops(Backend.Device, MatMulPrecision.BFloat16, TimeSpan.Zero);
        Assert.InRange(rate, 0.01, 1e6);
        Assert.Equal(MatMulPrecision.Float32, Backend.Device.MatMulPrecision);
    }

    [Theory]
    [MemberData(nameof(LargerShapes))]
    public void ACallAllocatesNothing(MatMulLayout layout, int m, int n, int k)
    {
        Problem x = new(layout, m, n, k);
        Tensor a = x.UploadA(Backend);
        Tensor b = x.UploadB(Backend);
        Tensor output = Backend.Poisoned(DType.Float32, new Shape(m, n));
        MatMul.Run(a, b, output, layout);
        long before = GC.GetAllocatedBytesForCurrentThread();
        MatMul.Run(a, b, output, layout);
        Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());
    }
}

public sealed class EmulatedCudaForwardMatMulTests(EmulatedCudaForward backend) : MatMulTests(backend), IClassFixture<EmulatedCudaForward>;

public sealed class EmulatedCudaReverseMatMulTests(EmulatedCudaReverse backend) : MatMulTests(backend), IClassFixture<EmulatedCudaReverse>;

public sealed class EmulatedCudaRandomMatMulTests(EmulatedCudaRandom backend) : MatMulTests(backend), IClassFixture<EmulatedCudaRandom>;

public sealed class EmulatedCudaCublasMatMulTests(EmulatedCudaCublas backend) : MatMulTests(backend), IClassFixture<EmulatedCudaCublas>;

public sealed class CudaMatMulTests(CudaBackend backend) : MatMulTests(backend), IClassFixture<CudaBackend>;
