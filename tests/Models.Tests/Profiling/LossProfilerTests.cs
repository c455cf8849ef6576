using CrossAlign.Models.Profiling;
using CrossAlign.Models.Training.Configuration;

namespace CrossAlign.Models.Tests.Profiling;

public sealed class LossProfilerTests
{
    private static readonly TimeSpan s_short = TimeSpan.FromMilliseconds(20);

    public static TheoryData<string> Variants() => [.. LossProfileVariant.VariantNames];

    public static TheoryData<string> Additions() => [.. LossProfileVariant.AdditionNames];

    [Theory]
    [MemberData(nameof(Variants))]
    public void EveryVariantIsMeasuredAndItsNaiveFormAgrees(string variant)
    {
        LossProfileRow row = Measure(variant, 37, 12);
        Assert.Null(row.Refusal);
        Assert.Null(row.NaiveRefusal);
        Assert.InRange(row.NaiveDifference!.Value, 0, 1e-5);
        Assert.True(row.Milliseconds > 0 && row.MillisecondsP20 <= row.Milliseconds && row.Milliseconds <= row.MillisecondsP80, row.ToString());
        Assert.True(row.NaiveMilliseconds > 0 && row.ForwardMilliseconds is null or > 0 && row.PeakGflops > 0 && row.ShareOfPeak > 0, row.ToString());
        Assert.Equal(row.Arithmetic!.Value / row.Milliseconds.Value / 1e6, row.Gflops!.Value, 1e-9 * row.Gflops.Value);
        Assert.InRange(row.Calls, 1, 25);

        // All similarities fit at this size; the sigmoid has 3 products anyway.
        Assert.Equal(3 * 2 * 37 * 37 * 12, row.Arithmetic);
        Assert.Equal(4 * 37 * 12 * 4, row.TensorBytes);
    }

    [Theory]
    [InlineData(100)]
    [InlineData(2100)]
    public void MemoryIsMeasuredAndNoMoreThanPredictedAndAllowed(int b)
    {
        LossProfileRow row = Measure("symmetricNormalized", b, 8);
        Assert.InRange(row.MemoryBytes!.Value, 4L * Math.Min(b, 2048) * Math.Min(b, 2048), row.PredictedBytes);
        Assert.True(row.PredictedBytes <= row.BoundBytes, row.ToString());

        // Beside embeddings and gradients the naive loss holds the two matrices, unit rows and four floats a row; what is measured has the products' working memory too.
        long predicted = sizeof(float) * ((2L * b * b) + (2L * b * 9) + (4L * b));
        Assert.InRange(row.NaiveBytes!.Value, predicted - (16L * b), predicted + (16L << 20));
    }

    [Theory]
    [MemberData(nameof(Additions))]
    public void EveryAdditionIsMeasuredAndItsNaiveFormAgrees(string addition)
    {
        LossProfileRow row = Measure($"symmetricNormalized+{addition}", 40, 8);
        Assert.True(row.Milliseconds > 0, row.ToString());
        Assert.True(row.NaiveMilliseconds > 0, row.ToString());
        Assert.InRange(row.NaiveDifference!.Value, 0, 1e-5);
        double products = addition switch
        {
            "matryoshka" => 3 * 1.5,
            "lockedCaptions" or "lockedImages" => 2,
            _ => 3,
        };
        Assert.Equal((long)(products * 2 * 40 * 40 * 8), row.Arithmetic);
    }

    [Theory]
    [InlineData("captionToImage+masked+smoothing+falseNegatives+matryoshka")]
    [InlineData("imageToCaption+shared+smoothing+lockedImages")]
    [InlineData("symmetric+masked+falseNegatives")]
    [InlineData("sigmoidNormalized+masked+matryoshka")]
    [InlineData("sigmoid+shared+lockedCaptions")]
    public void TheNaiveFormAgreesForAdditionsTogether(string variant)
    {
        // No multiple of a vector, and more columns than a thread sweeps at a time.
        foreach (int b in (int[])[39, 530])
        {
            LossProfileRow row = Measure(variant, b, 12);
            Assert.True(row.NaiveMilliseconds > 0, row.ToString());
            Assert.InRange(row.NaiveDifference!.Value, 0, 2e-5);
        }
    }

    [Fact]
    public void KeptSimilaritiesSaveAProductAndTakeTheirMemory()
    {
        LossProfileRow recomputed = Measure("symmetricNormalized", 4200, 4, naive: false);
        LossProfileRow kept = Measure("symmetricNormalized+kept", 4200, 4, naive: false);
        Assert.Equal(4L * 2 * 4200 * 4200 * 4, recomputed.Arithmetic);
        Assert.Equal(3L * 2 * 4200 * 4200 * 4, kept.Arithmetic);
        Assert.InRange(kept.MemoryBytes!.Value, 4L * 4200 * 4200, kept.BoundBytes);
        Assert.Equal("not asked for", kept.NaiveRefusal);
    }

    [Fact]
    public void RoundedProductsAreMeasured()
    {
        LossProfileRow row = new LossProfiler(1, s_short, naive: true).Measure(new LossProfileCase(64, 16, Precision.BF16, LossProfileVariant.Parse("symmetricNormalized")), CancellationToken.None);
        Assert.Equal("bf16", row.Precision);
        Assert.InRange(row.NaiveDifference!.Value, 1e-5, 5e-2);
    }

    [Fact]
    public void APrecisionThatTheDeviceLacksIsRefusedByName()
    {
        UserErrorException e = Assert.Throws<UserErrorException>(
            () => new LossProfiler(1, s_short, naive: false).Measure(new LossProfileCase(8, 4, Precision.TF32, LossProfileVariant.Parse("symmetric")), CancellationToken.None));
        Assert.Contains("'tf32'", e.What, StringComparison.Ordinal);
    }

    [Fact]
    public void WhatCannotFitIsRefusedWithTheNumbers()
    {
        LossProfileRow row = Measure("symmetricNormalized", 1 << 21, 1 << 17);
        Assert.Matches(@"^needs 4096\.0 GiB for embeddings and gradients and 1?\d\d\.\d MiB for the loss, 4096\.1 GiB together; .* are available$", row.Refusal);
        Assert.Null(row.Milliseconds);
    }

    [Fact]
    public void ACaseOfMoreThanADayIsNotBegun()
    {
        // At the rate of a machine with two threads.
        LossProfileCase huge = new(1 << 24, 64, Precision.F32, LossProfileVariant.Parse("symmetricNormalized"));
        LossProfileRow row = huge.Predict(huge.NewRow(Runtime.DeviceKind.Cpu, long.MaxValue), 100, LossProfileCase.DefaultLongestCall);
        Assert.Equal("would take at least 400 h a call (1.44E+17 operations at the 100 GFLOP/s of a plain product), more than 24 h (--longest)", row.Refusal);
        Assert.Equal(8.0 * (1L << 48) * 64 / 100e9, row.PredictedSeconds!.Value, 1e-3);

        // At that of a GPU it may begin.
        Assert.Null(huge.Predict(row, 5e5, LossProfileCase.DefaultLongestCall).Refusal);
    }

    [Fact]
    public void WhatWouldTakeTooLongIsNotMeasured()
    {
        LossProfiler profiler = new(2, s_short, naive: false) { LongestCall = TimeSpan.FromTicks(1) };
        LossProfileRow row = profiler.Measure(new LossProfileCase(3000, 16, Precision.F32, LossProfileVariant.Parse("symmetricNormalized")), CancellationToken.None);
        Assert.StartsWith("would take at least ", row.Refusal, StringComparison.Ordinal);
        Assert.Null(row.Milliseconds);
        Assert.InRange(row.PredictedSeconds!.Value, 1e-6, 60);
    }

    [Theory]
    [InlineData("symmetricNormalized")]
    [InlineData("symmetricNormalized+kept")]
    [InlineData("captionToImage+lockedImages+matryoshka")]
    [InlineData("sigmoidNormalized+lockedCaptions")]
    public void TheOperationsOfACallAreKnownBefore(string variant)
    {
        LossProfileCase profiled = new(4200, 4, Precision.F32, LossProfileVariant.Parse(variant));
        Assert.Equal(new LossProfiler(2, s_short, naive: false).Measure(profiled, CancellationToken.None).Arithmetic!.Value, profiled.ExpectedArithmetic);
    }

    [Fact]
    public void WideEmbeddingsTakeTheMemoryThatWasPredicted()
    {
        // One panel of columns so deep would exceed the products' part of the budget.
        LossProfileRow row = Measure("symmetricNormalized", 20, 300_000, naive: false);
        Assert.InRange(row.MemoryBytes!.Value, 1, row.PredictedBytes);
        Assert.True(row.PredictedBytes <= row.BoundBytes, row.ToString());
    }

    [Fact]
    public void WhatTheLossItselfRefusesIsSaid() =>
        Assert.Contains("16777216 rows and 16777216 columns need ", Measure("symmetricNormalized+smoothing", 1 << 24, 1).Refusal, StringComparison.Ordinal);

    [Fact]
    public void ACancelledMeasurementKeepsNothingOfItsOwn()
    {
        using CancellationTokenSource source = new();
        source.Cancel();
        Assert.Throws<OperationCanceledException>(
            () => new LossProfiler(1, s_short, naive: false).Measure(new LossProfileCase(8, 4, Precision.F32, LossProfileVariant.Parse("symmetric")), source.Token));
    }

    [Theory]
    [InlineData("symetric", "the nearest is 'symmetric'")]
    [InlineData("symmetric+mask", "the nearest is 'masked'")]
    [InlineData("symmetric+masked+shared", "give one of them")]
    [InlineData("symmetric+lockedCaptions+lockedImages", "lock one of them")]
    [InlineData("sigmoid+smoothing", "choose another combination")]
    public void WrongVariantsAreRefusedWithARemedy(string name, string remedy) =>
        Assert.Equal(remedy, Assert.Throws<UserErrorException>(() => LossProfileVariant.Parse(name)).Remedy);

    private static LossProfileRow Measure(string variant, int b, int e, bool naive = true) =>
        new LossProfiler(2, s_short, naive).Measure(new LossProfileCase(b, e, Precision.F32, LossProfileVariant.Parse(variant)), CancellationToken.None);
}
