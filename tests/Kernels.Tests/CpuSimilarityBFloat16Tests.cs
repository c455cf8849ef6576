using CrossAlign.Kernels.Tests.Harness;
using CrossAlign.Reference;
using CrossAlign.Runtime;

namespace CrossAlign.Kernels.Tests;

/// <summary>The loss with bfloat16 products, which <see cref="SimdTierTests"/> also runs as the processor's own instruction forms them.</summary>
public sealed class CpuSimilarityBFloat16Tests
{
    [Theory]
    [InlineData("symmetric", 203)]
    [InlineData("paper", 64)]
    [InlineData("raw symmetric", 33)]
    [InlineData("image to caption", 64)]
    [InlineData("sigmoid", 97)]
    [InlineData("masked", 64)]
    [InlineData("shared", 40)]
    [InlineData("smoothing", 64)]
    [InlineData("weights", 64)]
    [InlineData("ignored", 33)]
    [InlineData("extra negatives", 64)]
    [InlineData("prefixes", 64)]
    [InlineData("locked captions", 64)]
    [InlineData("locked images", 64)]
    public void BFloat16ProductsHaveABudgetOfTheirOwn(string variant, int b)
    {
        using CpuBackend rounding = new(2);
        rounding.Device.MatMulPrecision = MatMulPrecision.BFloat16;
        SimilarityCrossEntropyCase x = SimilarityCrossEntropyVariants.Case(variant, b);
        SimilarityCrossEntropyResult<float> actual = x.Run(rounding, out double discrepancy);
        SimilarityCrossEntropyResult<double> expected = SimilarityCrossEntropyReference.Run(x.ToDouble());
        string? wrong = SimilarityCrossEntropyBudget.Explain(x, expected, actual, MatMulPrecision.BFloat16);
        Assert.True(wrong is null, wrong);

        // The self-check holds as in float32: both towers' gradients have the same rounded factors.
        Assert.True(x.LockCaptions || x.LockImages ? double.IsNaN(discrepancy) : discrepancy < 3e-6, $"{discrepancy}");

        // The products are rounded at all: float32's budget is broken.
        Assert.NotNull(SimilarityCrossEntropyBudget.Explain(x, expected, actual));
    }

    [Theory]
    [MemberData(nameof(SimilarityCrossEntropyTests.Variants), MemberType = typeof(SimilarityCrossEntropyTests))]
    public void BFloat16ProductsTakeFloat32RowsAsRounded(string variant)
    {
        using CpuBackend rounding = new(2);
        rounding.Device.MatMulPrecision = MatMulPrecision.BFloat16;
        SimilarityCrossEntropyCase x = SimilarityCrossEntropyVariants.Case(variant, 60);
        Assert.Equal(SimilarityCrossEntropyTests.Parts((x with { DType = DType.BFloat16 }).Run(rounding, out _)), SimilarityCrossEntropyTests.Parts((x with { DType = DType.Float32 }).Run(rounding, out _)));
    }
}
