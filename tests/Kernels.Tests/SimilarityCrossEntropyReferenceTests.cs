using CrossAlign.Kernels.Tests.Harness;
using CrossAlign.Reference;

namespace CrossAlign.Kernels.Tests;

/// <summary>The reference is proved by central differences, and the comparison by results that must not pass it.</summary>
public sealed class SimilarityCrossEntropyReferenceTests
{
    public static TheoryData<string> Variants() => [.. SimilarityCrossEntropyVariants.Names];

    [Theory]
    [MemberData(nameof(Variants))]
    public void GradientsAreDerivativesOfTheLoss(string variant)
    {
        SimilarityCrossEntropyProblem<double> x = SimilarityCrossEntropyVariants.Case(variant, 7).ToDouble();

        // Logits of at most about 3, as central differences want them.
        x = x with { Scale = x.LogScale ? Math.Log(3) : x.Scale, MaxScale = variant == "clamped" ? 2 : 100 };
        SimilarityCrossEntropyResult<double> actual = SimilarityCrossEntropyReference.Run(x);
        CentralDifferences.Assert(x.Captions, actual.DCaptions, () => SimilarityCrossEntropyReference.Run(x).Loss, "dCaptions");
        CentralDifferences.Assert(x.Images, actual.DImages, () => SimilarityCrossEntropyReference.Run(x).Loss, "dImages");
        CentralDifferences.Assert(x.Extra, actual.DExtra, () => SimilarityCrossEntropyReference.Run(x).Loss, "dExtra");
        double[] scalars = [x.Scale, x.Bias];
        CentralDifferences.Assert(
            scalars,
            [actual.DScale, x.Sigmoid ? actual.DBias : 0],
            () => SimilarityCrossEntropyReference.Run(x with { Scale = scalars[0], Bias = scalars[1] }).Loss,
            "scalars");
    }

    [Fact]
    public void BrokenResultsAreRejected()
    {
        SimilarityCrossEntropyCase x = SimilarityCrossEntropyVariants.Case("targets", 70);
        SimilarityCrossEntropyResult<double> expected = SimilarityCrossEntropyReference.Run(x.ToDouble());
        SimilarityCrossEntropyResult<float> Broken(SimilarityCrossEntropyCase broken) => SimilarityCrossEntropyReference.Run(broken.ToFloat());

        Assert.Null(SimilarityCrossEntropyBudget.Explain(x, expected, Broken(x)));
        Assert.NotNull(SimilarityCrossEntropyBudget.Explain(x, expected, Broken(x with { Scale = 0 })));
        Assert.NotNull(SimilarityCrossEntropyBudget.Explain(x, expected, Broken(x with { Targets = [.. x.Targets!.Select(t => (t + 1) % x.K)] })));

        SimilarityCrossEntropyResult<float> lastColumnLost = Broken(x);
        SimilarityCrossEntropyResult<float> without = Broken(x with { K = x.K - 1, Images = x.Images[..^x.E], Targets = [.. x.Targets!.Select(t => Math.Min(t, x.K - 2))] });
        lastColumnLost.Loss = without.Loss;
        without.DCaptions.CopyTo(lastColumnLost.DCaptions, 0);
        Assert.NotNull(SimilarityCrossEntropyBudget.Explain(x, expected, lastColumnLost));

        SimilarityCrossEntropyResult<float> threefold = Broken(x);
        for (int i = 0; i < threefold.DImages.Length; i++)
        {
            threefold.DImages[i] *= 3;
        }

        Assert.NotNull(SimilarityCrossEntropyBudget.Explain(x, expected, threefold));

        SimilarityCrossEntropyResult<float> scaleGradient = Broken(x);
        scaleGradient.DScale *= 1.001f;
        Assert.NotNull(SimilarityCrossEntropyBudget.Explain(x, expected, scaleGradient));

        SimilarityCrossEntropyResult<float> notANumber = Broken(x);
        notANumber.DCaptions[^1] = float.NaN;
        Assert.NotNull(SimilarityCrossEntropyBudget.Explain(x, expected, notANumber));
    }
}
