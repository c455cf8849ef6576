using CrossAlign.Kernels.Tests.Harness;
using CrossAlign.Reference;
using CrossAlign.Runtime;

namespace CrossAlign.Kernels.Tests;

public abstract class PoolingTests(Backend backend)
{
    // Empty sequences at both ends and in the middle; lengths round the blocks of 32.
    private static readonly int[] s_lengths = [0, 1, 2, 31, 0, 32, 33, 64, 130, 7, 0];

    public static TheoryData<PoolingKind, DType, int> Cases()
    {
        TheoryData<PoolingKind, DType, int> data = [];
        foreach (PoolingKind kind in Enum.GetValues<PoolingKind>())
        {
            foreach (DType dtype in (DType[])[DType.Float32, DType.BFloat16])
            {
                foreach (int c in (int[])[1, 2, 15, 16, 31, 32, 33, 96, 100, 301, 1040])
                {
                    data.Add(kind, dtype, c);
                }
            }
        }

        return data;
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void BothDirectionsAreWithinTheErrorBudget(PoolingKind kind, DType dtype, int c) => PoolBothWays(kind, dtype, dtype, c);

    [Theory]
    [InlineData(PoolingKind.Mean, 1)]
    [InlineData(PoolingKind.Mean, 33)]
    [InlineData(PoolingKind.Mean, 96)]
    [InlineData(PoolingKind.Mean, 1040)]
    [InlineData(PoolingKind.Cls, 100)]
    [InlineData(PoolingKind.Cls, 301)]
    [InlineData(PoolingKind.Eos, 31)]
    [InlineData(PoolingKind.Eos, 96)]
    public void Float32VectorsOfBFloat16TokensAreWithinTheErrorBudget(PoolingKind kind, int c) =>
        PoolBothWays(kind, DType.BFloat16, DType.Float32, c);

    [Theory]
    [InlineData(PoolingKind.Mean)]
    [InlineData(PoolingKind.Cls)]
    [InlineData(PoolingKind.Eos)]
    public void Float32VectorsThatLieAskewArePooledAsOnesThatDoNot(PoolingKind kind) =>
        backend.WithEachTensorAskew(() => PoolBothWays(kind, DType.BFloat16, DType.Float32, 160));

    [Theory]
    [InlineData(PoolingKind.Mean, DType.Float32)]
    [InlineData(PoolingKind.Mean, DType.BFloat16)]
    [InlineData(PoolingKind.Cls, DType.Float32)]
    [InlineData(PoolingKind.Eos, DType.BFloat16)]
    public void AViewThatLiesAskewIsPooledAsOneThatDoesNot(PoolingKind kind, DType dtype) =>
        backend.WithEachTensorAskew(() => BothDirectionsAreWithinTheErrorBudget(kind, dtype, 160));

    [Theory]
    [InlineData(PoolingKind.Mean)]
    [InlineData(PoolingKind.Cls)]
    [InlineData(PoolingKind.Eos)]
    public void ASequencesVectorDoesNotDependOnItsBatch(PoolingKind kind)
    {
        float[] tokens = TestData.Normal(DType.Float32, 100 * 24, 3);
        float[] alone = Pool(kind, tokens[(40 * 24)..(57 * 24)], [0, 17], 24);
        float[] together = Pool(kind, tokens, [0, 5, 40, 57, 57, 100], 24);
        Assert.Equal(alone, together[(2 * 24)..(3 * 24)]);
    }

    [Theory]
    [InlineData(3)]
    [InlineData(8)]
    public void TheMeanOfManyTokensLosesNothingOnTheWay(int c)
    {
        // The sum of 32 tokens is 63 more than a multiple of 128, and those are the numbers that sums beyond 2^30 can have: each further
        // addition would lose 63.
        const int Length = 4096;
        float[] tokens = [.. Enumerable.Range(0, Length * c).Select(i => i / c % 32 == 0 ? 63f : 524288f)];
        float expected = ((31 * 524288f) + 63) / 32;
        Assert.All(Pool(PoolingKind.Mean, tokens, [0, Length], c), v => Assert.Equal(expected, v));
    }

    [Theory]
    [InlineData(PoolingKind.Mean)]
    [InlineData(PoolingKind.Cls)]
    public void OfBFloat16OnlyTheResultIsRounded(PoolingKind kind)
    {
        const int C = 40;
        int[] ends = Ends(s_lengths);
        int s = s_lengths.Length;
        ResultRounding.AssertOnce(Run(DType.Float32).Output, Run(DType.BFloat16).Output, "output");
        ResultRounding.AssertOnce(Run(DType.Float32).DInput, Run(DType.BFloat16).DInput, "dInput");

        (float[] Output, float[] DInput) Run(DType dtype)
        {
            Tensor cuSeqlens = backend.Upload(new Shape(s + 1), ends);
            Tensor output = backend.Poisoned(dtype, new Shape(s, C));
            Tensor dInput = backend.Poisoned(dtype, new Shape(ends[^1], C));
            Pooling.Forward(kind, backend.Upload(dtype, new Shape(ends[^1], C), TestData.Normal(DType.BFloat16, ends[^1] * C, 1, 1, 0.5f)), cuSeqlens, output);
            Pooling.Backward(kind, backend.Upload(dtype, new Shape(s, C), TestData.Normal(DType.BFloat16, s * C, 2)), cuSeqlens, dInput);
            return (backend.Download(output), backend.Download(dInput));
        }
    }

    [Fact]
    public void NoSequencesAreAllowed() => Assert.Empty(Pool(PoolingKind.Mean, [], [0], 8));

    [Fact]
    public void AnotherKindIsRejected()
    {
        float[] tokens = TestData.Normal(DType.Float32, 12 * 8, 4);
        double[] mean = PoolingReference.Forward("Mean", TestData.ToDouble(tokens), [0, 5, 12], 8);
        float[] twin = PoolingReference.Forward("Mean", tokens, [0, 5, 12], 8);
        float[] shifted = Pool(PoolingKind.Mean, tokens, [0, 6, 12], 8);
        Assert.NotNull(ErrorBudget.Explain(mean, twin, Pool(PoolingKind.Cls, tokens, [0, 5, 12], 8), DType.Float32, 2, "output"));
        Assert.NotNull(ErrorBudget.Explain(mean, twin, shifted, DType.Float32, 2, "output"));
    }

    [Theory]
    [InlineData(PoolingKind.Mean)]
    [InlineData(PoolingKind.Cls)]
    [InlineData(PoolingKind.Eos)]
    public void TheReferencesGradientIsProven(PoolingKind kind)
    {
        int[] ends = [0, 3, 3, 7];
        double[] input = TestData.ToDouble(TestData.Normal(DType.Float32, 7 * 2, 1));
        double[] dOutput = TestData.ToDouble(TestData.Normal(DType.Float32, 3 * 2, 2));
        CentralDifferences.Assert(
            input,
            PoolingReference.Backward(kind.ToString(), dOutput, ends, 2),
            () => CentralDifferences.Dot(dOutput, PoolingReference.Forward(kind.ToString(), input, ends, 2)),
            "dInput");
    }

    [Fact]
    public void WrongShapesAreRefusedByName()
    {
        Tensor input = backend.Poisoned(DType.Float32, new Shape(4, 8));
        Tensor ends = backend.Upload(new Shape(3), [0, 2, 4]);
        ArgumentException e = Assert.Throws<ArgumentException>(() => Pooling.Forward(PoolingKind.Mean, input, ends, input));
        Assert.Contains("output is Float32 (4, 8); it must be Float32 (2, 8)", e.Message, StringComparison.Ordinal);
        Tensor rounded = backend.Poisoned(DType.BFloat16, new Shape(2, 8));
        e = Assert.Throws<ArgumentException>(() => Pooling.Forward(PoolingKind.Mean, input, ends, rounded));
        Assert.Contains("output is BFloat16 (2, 8); it must be Float32 (2, 8)", e.Message, StringComparison.Ordinal);
        e = Assert.Throws<ArgumentException>(() => Pooling.Backward(PoolingKind.Mean, rounded, ends, input));
        Assert.Contains("dOutput is BFloat16 (2, 8); it must be Float32 (2, 8)", e.Message, StringComparison.Ordinal);
        e = Assert.Throws<ArgumentException>(() => Pooling.Forward(PoolingKind.Mean, input, default, input));
        Assert.Contains("cuSeqlens is absent", e.Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentOutOfRangeException>(() => Pooling.Forward((PoolingKind)9, input, ends, input));
    }

    private void PoolBothWays(PoolingKind kind, DType dtype, DType pooled, int c)
    {
        int[] ends = Ends(s_lengths);
        int s = s_lengths.Length;
        float[] input = TestData.Normal(dtype, (long)ends[^1] * c, 1, 1, 0.5f);
        float[] dOutput = TestData.Normal(pooled, (long)s * c, 2);
        Tensor cuSeqlens = backend.Upload(new Shape(s + 1), ends);
        Tensor output = backend.Poisoned(pooled, new Shape(s, c));
        Tensor dInput = backend.Poisoned(dtype, new Shape(ends[^1], c));
        Pooling.Forward(kind, backend.Upload(dtype, new Shape(ends[^1], c), input), cuSeqlens, output);
        Pooling.Backward(kind, backend.Upload(pooled, new Shape(s, c), dOutput), cuSeqlens, dInput);

        string name = kind.ToString();
        double[] expected = PoolingReference.Forward(name, TestData.ToDouble(input), ends, c);
        double[] expectedGradient = PoolingReference.Backward(name, TestData.ToDouble(dOutput), ends, c);
        ErrorBudget.AssertForward(expected, PoolingReference.Forward(name, input, ends, c), backend.Download(output), pooled, "output");
        ErrorBudget.AssertBackward(
            expectedGradient, PoolingReference.Backward(name, dOutput, ends, c), backend.Download(dInput), dtype, "dInput");
        backend.CheckGuards();
    }

    private float[] Pool(PoolingKind kind, float[] tokens, int[] ends, int c)
    {
        Tensor output = backend.Poisoned(DType.Float32, new Shape(ends.Length - 1, c));
        Pooling.Forward(
            kind, backend.Upload(DType.Float32, new Shape(ends[^1], c), tokens), backend.Upload(new Shape(ends.Length), ends), output);
        return backend.Download(output);
    }

    protected static int[] Ends(int[] lengths)
    {
        int[] ends = new int[lengths.Length + 1];
        for (int s = 0; s < lengths.Length; s++)
        {
            ends[s + 1] = ends[s] + lengths[s];
        }

        return ends;
    }
}

public sealed class CpuPoolingTests(CpuBackend backend) : PoolingTests(backend), IClassFixture<CpuBackend>
{
    private readonly CpuBackend _backend = backend;

    [Theory]
    [InlineData(new int[] { 0, 2, 3 }, "cuSeqlens goes from 0 to 3; it must go from 0 to 4")]
    [InlineData(new int[] { 1, 2, 4 }, "cuSeqlens goes from 1 to 4; it must go from 0 to 4")]
    [InlineData(new int[] { 0, 5, 4 }, "cuSeqlens[2] is 4, less than the 5 before it")]
    public void EndsThatDoNotAscendAreRefused(int[] ends, string message)
    {
        Tensor input = _backend.Poisoned(DType.Float32, new Shape(4, 8));
        Tensor output = _backend.Poisoned(DType.Float32, new Shape(2, 8));
        Tensor cuSeqlens = _backend.Upload(new Shape(3), ends);
        ArgumentException e = Assert.Throws<ArgumentException>(() => Pooling.Forward(PoolingKind.Mean, input, cuSeqlens, output));
        Assert.Contains(message, e.Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>(() => Pooling.Backward(PoolingKind.Mean, output, cuSeqlens, input));
    }

    [Fact]
    public void AnyNumberOfThreadsGivesTheSameBits() => Repeatability.AssertSameBitsForAnyThreadCount(b =>
    {
        int[] ends = Ends([.. Enumerable.Range(0, 60)]);
        Tensor output = b.Poisoned(DType.Float32, new Shape(60, 33));
        Tensor cuSeqlens = b.Upload(new Shape(61), ends);
        Pooling.Forward(
            PoolingKind.Mean, b.Upload(DType.Float32, new Shape(ends[^1], 33), TestData.Normal(DType.Float32, ends[^1] * 33, 5)), cuSeqlens, output);
        return [b.Download(output)];
    });

    [Fact]
    public void ACallAllocatesNothing()
    {
        Tensor input = _backend.Poisoned(DType.Float32, new Shape(64, 32));
        Tensor output = _backend.Poisoned(DType.Float32, new Shape(32, 32));
        Tensor cuSeqlens = _backend.Upload(new Shape(33), [.. Enumerable.Range(0, 33).Select(i => 2 * i)]);
        Repeatability.AssertNoAllocation(() =>
        {
            Pooling.Forward(PoolingKind.Mean, input, cuSeqlens, output);
            Pooling.Backward(PoolingKind.Mean, output, cuSeqlens, input);
        });
    }
}

public sealed class EmulatedCudaForwardPoolingTests(EmulatedCudaForward backend) : PoolingTests(backend), IClassFixture<EmulatedCudaForward>;

public sealed class EmulatedCudaReversePoolingTests(EmulatedCudaReverse backend) : PoolingTests(backend), IClassFixture<EmulatedCudaReverse>;

public sealed class EmulatedCudaRandomPoolingTests(EmulatedCudaRandom backend) : PoolingTests(backend), IClassFixture<EmulatedCudaRandom>;

public sealed class CudaPoolingTests(CudaBackend backend) : PoolingTests(backend), IClassFixture<CudaBackend>;
