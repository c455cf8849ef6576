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
    [InlineData(PoolingKind.Max, 33)]
    [InlineData(PoolingKind.Max, 96)]
    [InlineData(PoolingKind.MeanSqrtLength, 100)]
    [InlineData(PoolingKind.WeightedMean, 31)]
    [InlineData(PoolingKind.WeightedMean, 1040)]
    public void Float32VectorsOfBFloat16TokensAreWithinTheErrorBudget(PoolingKind kind, int c) =>
        PoolBothWays(kind, DType.BFloat16, DType.Float32, c);

    [Theory]
    [InlineData(PoolingKind.Mean)]
    [InlineData(PoolingKind.Cls)]
    [InlineData(PoolingKind.Eos)]
    [InlineData(PoolingKind.Max)]
    [InlineData(PoolingKind.MeanSqrtLength)]
    [InlineData(PoolingKind.WeightedMean)]
    public void Float32VectorsThatLieAskewArePooledAsOnesThatDoNot(PoolingKind kind) =>
        backend.WithEachTensorAskew(() => PoolBothWays(kind, DType.BFloat16, DType.Float32, 160));

    [Theory]
    [InlineData(PoolingKind.Mean, DType.Float32)]
    [InlineData(PoolingKind.Mean, DType.BFloat16)]
    [InlineData(PoolingKind.Cls, DType.Float32)]
    [InlineData(PoolingKind.Eos, DType.BFloat16)]
    [InlineData(PoolingKind.Max, DType.Float32)]
    [InlineData(PoolingKind.Max, DType.BFloat16)]
    [InlineData(PoolingKind.WeightedMean, DType.BFloat16)]
    public void AViewThatLiesAskewIsPooledAsOneThatDoesNot(PoolingKind kind, DType dtype) =>
        backend.WithEachTensorAskew(() => BothDirectionsAreWithinTheErrorBudget(kind, dtype, 160));

    [Theory]
    [InlineData(PoolingKind.Mean)]
    [InlineData(PoolingKind.Cls)]
    [InlineData(PoolingKind.Eos)]
    [InlineData(PoolingKind.Max)]
    [InlineData(PoolingKind.MeanSqrtLength)]
    [InlineData(PoolingKind.WeightedMean)]
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
    [InlineData(PoolingKind.Max)]
    [InlineData(PoolingKind.MeanSqrtLength)]
    [InlineData(PoolingKind.WeightedMean)]
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
            Tensor chosen = Chosen(kind, s, C);
            Pooling.Forward(kind, backend.Upload(dtype, new Shape(ends[^1], C), TestData.Normal(DType.BFloat16, ends[^1] * C, 1, 1, 0.5f)), cuSeqlens, output, chosen);
            Pooling.Backward(kind, backend.Upload(dtype, new Shape(s, C), TestData.Normal(DType.BFloat16, s * C, 2)), cuSeqlens, dInput, chosen);
            return (backend.Download(output), backend.Download(dInput));
        }
    }

    [Theory]
    [InlineData(3)]
    [InlineData(8)]
    public void OfEqualMaximaTheFirstTokenHasTheGradient(int c)
    {
        // Sequences of 5, 0 and 3: a tie of the second and the last token, and of 0 and -0.
        float[] column = [1, 4, 2, -3, 4, -0f, 0, -1];
        float[] input = [.. column.SelectMany(v => Enumerable.Repeat(v, c))];
        float[] dOutput = [.. new[] { 10f, 20, 30 }.SelectMany(v => Enumerable.Repeat(v, c))];
        (float[] output, int[] chosen, float[] dInput) = Maxima(input, dOutput, [0, 5, 5, 8], c);
        Assert.Equal([.. new[] { 4f, 0, 0 }.SelectMany(v => Enumerable.Repeat(v, c))], output);
        Assert.Equal([.. new[] { 1, -1, 5 }.SelectMany(v => Enumerable.Repeat(v, c))], chosen);
        Assert.Equal([.. new[] { 0f, 10, 0, 0, 0, 30, 0, 0 }.SelectMany(v => Enumerable.Repeat(v, c))], dInput);
    }

    [Theory]
    [InlineData(3)]
    [InlineData(8)]
    public void TheFirstNaNOfAColumnIsItsMaximumAndInfinityOneOfItsNumbers(int c)
    {
        float[] column = [1, float.PositiveInfinity, float.NaN, 7, float.NaN, float.NegativeInfinity, float.NegativeInfinity, 2, float.NaN, 7, float.NaN];
        float[] input = [.. column.SelectMany(v => Enumerable.Repeat(v, c))];
        float[] dOutput = [.. new[] { 10f, 20, 30, 40 }.SelectMany(v => Enumerable.Repeat(v, c))];
        (float[] output, int[] chosen, _) = Maxima(input, dOutput, [0, 2, 5, 7, 11], c);
        Assert.Equal([.. new[] { float.PositiveInfinity, float.NaN, float.NegativeInfinity, float.NaN }.SelectMany(v => Enumerable.Repeat(v, c))], output);
        Assert.Equal([.. new[] { 1, 2, 5, 8 }.SelectMany(v => Enumerable.Repeat(v, c))], chosen);
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
        Assert.NotNull(ErrorBudget.Explain(mean, twin, Pool(PoolingKind.WeightedMean, tokens, [0, 5, 12], 8), DType.Float32, 2, "output"));
        Assert.NotNull(ErrorBudget.Explain(mean, twin, Pool(PoolingKind.MeanSqrtLength, tokens, [0, 5, 12], 8), DType.Float32, 2, "output"));
        Assert.NotNull(ErrorBudget.Explain(mean, twin, Pool(PoolingKind.Max, tokens, [0, 5, 12], 8), DType.Float32, 2, "output"));
    }

    [Theory]
    [InlineData(PoolingKind.Mean)]
    [InlineData(PoolingKind.Cls)]
    [InlineData(PoolingKind.Eos)]
    [InlineData(PoolingKind.Max)]
    [InlineData(PoolingKind.MeanSqrtLength)]
    [InlineData(PoolingKind.WeightedMean)]
    public void TheReferencesGradientIsProven(PoolingKind kind)
    {
        int[] ends = [0, 3, 3, 7];
        double[] input = TestData.ToDouble(TestData.Normal(DType.Float32, 7 * 2, 1));
        double[] dOutput = TestData.ToDouble(TestData.Normal(DType.Float32, 3 * 2, 2));
        CentralDifferences.Assert(
            input,
            PoolingReference.Backward(kind.ToString(), dOutput, ends, 2, input),
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
        Tensor output = backend.Poisoned(DType.Float32, new Shape(2, 8));
        e = Assert.Throws<ArgumentException>(() => Pooling.Forward(PoolingKind.Max, input, ends, output, output));
        Assert.Contains("chosen is Float32 (2, 8); it must be Int32 (2, 8)", e.Message, StringComparison.Ordinal);
        e = Assert.Throws<ArgumentException>(() => Pooling.Backward(PoolingKind.Max, output, ends, input));
        Assert.Contains("chosen is absent", e.Message, StringComparison.Ordinal);
        Tensor chosen = backend.Upload(new Shape(2, 8), new int[16]);
        e = Assert.Throws<ArgumentException>(() => Pooling.Forward(PoolingKind.Mean, input, ends, output, chosen));
        Assert.Contains("chosen is given; Mean chooses no rows", e.Message, StringComparison.Ordinal);
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
        Tensor chosen = Chosen(kind, s, c);
        Pooling.Forward(kind, backend.Upload(dtype, new Shape(ends[^1], c), input), cuSeqlens, output, chosen);
        Pooling.Backward(kind, backend.Upload(pooled, new Shape(s, c), dOutput), cuSeqlens, dInput, chosen);

        string name = kind.ToString();
        double[] expected = PoolingReference.Forward(name, TestData.ToDouble(input), ends, c);
        double[] expectedGradient = PoolingReference.Backward(name, TestData.ToDouble(dOutput), ends, c, TestData.ToDouble(input));
        ErrorBudget.AssertForward(expected, PoolingReference.Forward(name, input, ends, c), backend.Download(output), pooled, "output");
        ErrorBudget.AssertBackward(
            expectedGradient, PoolingReference.Backward(name, dOutput, ends, c, input), backend.Download(dInput), dtype, "dInput");
        backend.CheckGuards();
    }

    private Tensor Chosen(PoolingKind kind, int s, int c) =>
        kind == PoolingKind.Max ? backend.Upload(new Shape(s, c), [.. Enumerable.Repeat(int.MinValue, s * c)]) : default;

    private (float[] Output, int[] Chosen, float[] DInput) Maxima(float[] input, float[] dOutput, int[] ends, int c)
    {
        int s = ends.Length - 1;
        Tensor cuSeqlens = backend.Upload(new Shape(s + 1), ends);
        Tensor output = backend.Poisoned(DType.Float32, new Shape(s, c));
        Tensor dInput = backend.Poisoned(DType.Float32, new Shape(ends[^1], c));
        Tensor chosen = Chosen(PoolingKind.Max, s, c);
        Pooling.Forward(PoolingKind.Max, backend.Upload(DType.Float32, new Shape(ends[^1], c), input), cuSeqlens, output, chosen);
        Pooling.Backward(PoolingKind.Max, backend.Upload(DType.Float32, new Shape(s, c), dOutput), cuSeqlens, dInput, chosen);
        backend.CheckGuards();
        return (backend.Download(output), chosen.ToArray<int>(), backend.Download(dInput));
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
    public void ALongTextsMaximumIsFoundBehindThePlacesThatAFloatCounts()
    {
        const int Length = (1 << 24) + 5;
        Tensor input = _backend.Device.NewTensor(DType.Float32, new Shape(Length, 1));
        float[] numbers = new float[Length];
        (numbers[^2], numbers[^1]) = (1, 1);
        input.CopyFrom<float>(numbers);
        Tensor output = _backend.Poisoned(DType.Float32, new Shape(1, 1));
        Tensor chosen = _backend.Upload(new Shape(1, 1), [0]);
        Pooling.Forward(PoolingKind.Max, input, _backend.Upload(new Shape(2), [0, Length]), output, chosen);
        Assert.Equal([1f], _backend.Download(output));
        Assert.Equal([Length - 2], chosen.ToArray<int>());
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
        Tensor chosen = _backend.Upload(new Shape(32, 32), new int[32 * 32]);
        Repeatability.AssertNoAllocation(() =>
        {
            Pooling.Forward(PoolingKind.Mean, input, cuSeqlens, output);
            Pooling.Backward(PoolingKind.Mean, output, cuSeqlens, input);
            Pooling.Forward(PoolingKind.Max, input, cuSeqlens, output, chosen);
            Pooling.Backward(PoolingKind.Max, output, cuSeqlens, input, chosen);
        });
    }
}

public sealed class EmulatedCudaForwardPoolingTests(EmulatedCudaForward backend) : PoolingTests(backend), IClassFixture<EmulatedCudaForward>;

public sealed class EmulatedCudaReversePoolingTests(EmulatedCudaReverse backend) : PoolingTests(backend), IClassFixture<EmulatedCudaReverse>;

public sealed class EmulatedCudaRandomPoolingTests(EmulatedCudaRandom backend) : PoolingTests(backend), IClassFixture<EmulatedCudaRandom>;

public sealed class CudaPoolingTests(CudaBackend backend) : PoolingTests(backend), IClassFixture<CudaBackend>;
