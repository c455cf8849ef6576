using CrossAlign.Kernels.Tests.Harness;
using CrossAlign.Runtime;

namespace CrossAlign.Kernels.Tests;

/// <summary>Named variants of the fused loss and combinations of them, at any size.</summary>
public static class SimilarityCrossEntropyVariants
{
    private static readonly SimilarityCrossEntropyOptions s_plain = new();

    private static readonly SimilarityCrossEntropyOptions s_raw = new() { Normalize = false, Scale = SimilarityCrossEntropyScale.Multiplier };

    private static readonly SimilarityCrossEntropyOptions s_rows = s_plain with { Direction = SimilarityCrossEntropyDirection.CaptionToImage };

    private static readonly SimilarityCrossEntropyOptions s_columns = s_plain with { Direction = SimilarityCrossEntropyDirection.ImageToCaption };

    private static readonly SimilarityCrossEntropyOptions s_sigmoid = s_plain with { Objective = SimilarityCrossEntropyObjective.Sigmoid };

    private static readonly Dictionary<string, Func<int, uint, SimilarityCrossEntropyCase>> s_variants = new()
    {
        ["paper"] = (b, seed) => Square(s_raw with { Direction = SimilarityCrossEntropyDirection.CaptionToImage }, b, seed),
        ["raw symmetric"] = (b, seed) => Square(s_raw, b, seed),
        ["symmetric"] = (b, seed) => Square(s_plain, b, seed),
        ["image to caption"] = (b, seed) => Square(s_columns, b, seed),
        ["multiplier"] = (b, seed) => Square(s_plain with { Scale = SimilarityCrossEntropyScale.Multiplier }, b, seed),
        ["clamped"] = (b, seed) => Square(s_plain with { MaxScale = 5 }, b, seed),
        ["bfloat16"] = (b, seed) => Square(s_plain, b, seed, DType.BFloat16),
        ["sigmoid"] = (b, seed) => Square(s_sigmoid, b, seed) with { Bias = -10 },
        ["raw sigmoid without bias"] = (b, seed) => Square(s_raw with { Objective = SimilarityCrossEntropyObjective.Sigmoid }, b, seed),
        ["masked"] = (b, seed) => Grouped(s_plain with { Groups = SimilarityCrossEntropyGroups.Masked }, b, b, seed),
        ["shared"] = (b, seed) => Grouped(s_plain with { Groups = SimilarityCrossEntropyGroups.Shared }, b, (2 * b) + 1, seed),
        ["targets"] = (b, seed) => Targeted(s_rows, b, b + 5, seed),
        ["targets both ways"] = (b, seed) => Targeted(s_plain, b, Math.Max(1, b / 2), seed),
        ["more images"] = (b, seed) => SimilarityCrossEntropyCase.Seeded(s_plain, b, b + 7, 12, seed),
        ["weights"] = (b, seed) => Square(s_plain, b, seed) with { RowWeights = Weights(b) },
        ["weights by count"] = (b, seed) => Square(s_plain with { DivideByRowCount = true }, b, seed) with { RowWeights = Weights(b) },
        ["ignored"] = (b, seed) => Square(s_plain, b, seed) with { Targets = Ignoring(b) },
        ["smoothing"] = (b, seed) => Square(s_plain with { LabelSmoothing = 0.1f }, b, seed),
        ["smoothing of columns"] = (b, seed) => Square(s_columns with { LabelSmoothing = 0.3f }, b, seed),
        ["false negatives"] = (b, seed) => Square(s_plain with { FalseNegativeMargin = 0.05f }, b, seed),
        ["false negatives of columns, margin 0"] = (b, seed) => Square(s_columns with { FalseNegativeMargin = 0 }, b, seed),
        ["extra negatives"] = (b, seed) => Extra(Square(s_plain, b, seed), 9),
        ["extra negatives, sigmoid"] = (b, seed) => Extra(Square(s_sigmoid, b, seed) with { Bias = -3 }, b + 2),
        ["prefixes"] = (b, seed) => Square(s_plain with { Prefixes = [new(4, 0.5f), new(12, 1), new(7, 0.25f)] }, b, seed),
        ["prefixes, raw sigmoid"] = (b, seed) => Square(
            s_raw with { Objective = SimilarityCrossEntropyObjective.Sigmoid, Prefixes = [new(3, 0.5f), new(9, 2)] }, b, seed) with
        { Bias = 0.5f },
        ["locked captions"] = (b, seed) => Square(s_plain, b, seed) with { LockCaptions = true },
        ["locked images"] = (b, seed) => Square(s_plain, b, seed) with { LockImages = true },
        ["locked captions, sigmoid"] = (b, seed) => Square(s_sigmoid, b, seed) with { LockCaptions = true, Bias = -2 },
        ["masked + smoothing + weights + ignored + extra + prefixes"] = (b, seed) => Extra(
            Grouped(
                s_plain with { Groups = SimilarityCrossEntropyGroups.Masked, LabelSmoothing = 0.2f, Prefixes = [new(12, 1), new(5, 0.5f)] }, b, b, seed) with
            {
                RowWeights = Weights(b),
                Targets = Ignoring(b),
            },
            6),
        ["shared + smoothing + weights + ignored + extra"] = (b, seed) => Extra(
            Grouped(s_plain with { Groups = SimilarityCrossEntropyGroups.Shared, LabelSmoothing = 0.2f }, b, b + 3, seed) with
            {
                RowWeights = Weights(b),
                Targets = Ignoring(b),
            },
            4),
        ["masked + false negatives + smoothing + extra + targets"] = (b, seed) => Extra(
            Targeted(s_plain with { Groups = SimilarityCrossEntropyGroups.Masked, FalseNegativeMargin = 0.02f, LabelSmoothing = 0.1f }, b, b, seed) with
            {
                CaptionGroups = Groups(b),
                ImageGroups = Groups(b),
            },
            5),
        ["sigmoid + shared + weights + ignored + extra"] = (b, seed) => Extra(
            Grouped(s_sigmoid with { Groups = SimilarityCrossEntropyGroups.Shared }, b, b + 1, seed) with
            {
                RowWeights = Weights(b),
                Targets = Ignoring(b),
                Bias = -5,
            },
            3),
        ["sigmoid + masked + prefixes"] = (b, seed) => Grouped(
            s_sigmoid with { Groups = SimilarityCrossEntropyGroups.Masked, Prefixes = [new(12, 1), new(6, 1)] }, b, b, seed) with
        { Bias = -5 },
    };

    public static IEnumerable<string> Names => s_variants.Keys;

    public static SimilarityCrossEntropyCase Case(string name, int b, uint seed = 100) => s_variants[name](b, seed);

    private static SimilarityCrossEntropyCase Square(SimilarityCrossEntropyOptions options, int b, uint seed, DType dtype = DType.Float32) =>
        SimilarityCrossEntropyCase.Seeded(options, b, b, 12, seed, dtype: dtype);

    private static SimilarityCrossEntropyCase Grouped(SimilarityCrossEntropyOptions options, int b, int k, uint seed) =>
        SimilarityCrossEntropyCase.Seeded(options, b, k, 12, seed) with { CaptionGroups = Groups(b), ImageGroups = Groups(k) };

    /// <summary>Targets that are no diagonal; some columns have two rows, some none.</summary>
    private static SimilarityCrossEntropyCase Targeted(SimilarityCrossEntropyOptions options, int b, int k, uint seed)
    {
        CounterRandom random = new(seed, 5, 5);
        int[] targets = new int[b];
        for (int i = 0; i < b; i++)
        {
            targets[i] = random.Next(k);
        }

        return SimilarityCrossEntropyCase.Seeded(options, b, k, 12, seed) with { Targets = targets };
    }

    private static SimilarityCrossEntropyCase Extra(SimilarityCrossEntropyCase x, int count) =>
        x with { Extra = TestData.Normal(x.DType, (long)count * x.E, 77) };

    /// <summary>Groups of three, with ids that are neither dense nor in order.</summary>
    private static int[] Groups(int count) => [.. Enumerable.Range(0, count).Select(i => 1000 - (i / 3 * 17))];

    private static float[] Weights(int b) => [.. Enumerable.Range(0, b).Select(i => i % 5 == 3 ? 0 : 0.25f + (0.5f * (i % 4)))];

    private static int[] Ignoring(int b) => [.. Enumerable.Range(0, b).Select(i => i % 4 == 1 ? SimilarityCrossEntropy.IgnoreIndex : i)];
}
