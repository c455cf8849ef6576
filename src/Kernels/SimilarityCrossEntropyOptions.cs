using System.Globalization;

namespace CrossAlign.Kernels;

/// <summary>Which contrastive loss is computed, and in how much memory. <c>docs/loss.md</c> has the table of combinations.</summary>
public sealed record SimilarityCrossEntropyOptions
{
    /// <summary>64 MiB: beside it, 32 bytes a row.</summary>
    public const long DefaultMemoryBudgetBytes = 64L << 20;

    /// <summary>Which side the softmax runs over.</summary>
    public SimilarityCrossEntropyDirection Direction { get; init; }

    /// <summary>Softmax or sigmoid.</summary>
    public SimilarityCrossEntropyObjective Objective { get; init; }

    /// <summary>Whether rows are divided by their Euclidean norm first, <c>x / max(|x|, 1e-12)</c>; otherwise raw dot products.</summary>
    public bool Normalize { get; init; } = true;

    /// <summary>What the scale tensor holds.</summary>
    public SimilarityCrossEntropyScale Scale { get; init; }

    /// <summary>The largest multiplier, for <see cref="SimilarityCrossEntropyScale.Logarithm"/>: 100 as CLIP has it.</summary>
    public float MaxScale { get; init; } = 100;

    /// <summary>What members of one group are to each other.</summary>
    public SimilarityCrossEntropyGroups Groups { get; init; }

    /// <summary>e of the targets (1 - e) on the positives plus e spread evenly over the columns that take part; 0 up to 1.</summary>
    public float LabelSmoothing { get; init; }

    /// <summary>A negative whose similarity exceeds that of the positive by more than this is dropped from the denominator, whatever the scale and its sign; null keeps all.</summary>
    public float? FalseNegativeMargin { get; init; }

    /// <summary>Divides weighted rows by the number of rows that count and not by the sum of their weights.</summary>
    public bool DivideByRowCount { get; init; }

    /// <summary>The terms of a Matryoshka loss, in any order; empty for the whole width alone. Each term costs its own products.</summary>
    public IReadOnlyList<SimilarityCrossEntropyPrefix> Prefixes { get; init; } = [];

    /// <summary>Memory beside 32 bytes a row. With enough of it the similarities are kept and not computed twice; the bits are the same.</summary>
    public long MemoryBudgetBytes { get; init; } = DefaultMemoryBudgetBytes;

    /// <summary>Refuses values out of range and combinations that have no definition.</summary>
    /// <exception cref="ArgumentException">The message names the option and says what to do.</exception>
    public void Validate()
    {
        if (Refusal() is string refusal)
        {
            throw new ArgumentException(refusal);
        }
    }

    /// <summary>Why these options are refused.</summary>
    /// <returns>The message, or null where they are allowed.</returns>
    public string? Refusal()
    {
        if (!(LabelSmoothing >= 0 && LabelSmoothing < 1))
        {
            return string.Create(CultureInfo.InvariantCulture, $"LabelSmoothing is {LabelSmoothing}; it must be at least 0 and below 1.");
        }

        if (!(MaxScale > 0) || float.IsInfinity(MaxScale))
        {
            return string.Create(CultureInfo.InvariantCulture, $"MaxScale is {MaxScale}; it must be a positive number.");
        }

        if (FalseNegativeMargin is float margin && !(margin >= 0))
        {
            return string.Create(CultureInfo.InvariantCulture, $"FalseNegativeMargin is {margin}; it must be 0 or more.");
        }

        foreach (SimilarityCrossEntropyPrefix prefix in Prefixes)
        {
            if (prefix.Width < 1 || !(prefix.Weight > 0) || float.IsInfinity(prefix.Weight))
            {
                return string.Create(
                    CultureInfo.InvariantCulture, $"A prefix of width {prefix.Width} and weight {prefix.Weight} is refused; both must be positive.");
            }
        }

        if (Objective == SimilarityCrossEntropyObjective.Sigmoid)
        {
            if (Direction != SimilarityCrossEntropyDirection.Symmetric)
            {
                return "The sigmoid objective judges each pair on its own and has no direction; set Direction to Symmetric.";
            }

            if (LabelSmoothing > 0)
            {
                return "Label smoothing spreads a softmax target over columns; the sigmoid objective has no such target. Set LabelSmoothing to 0.";
            }

            if (FalseNegativeMargin is not null)
            {
                return "The false-negative mask thins out a softmax's denominator; the sigmoid objective has none. Set FalseNegativeMargin to null.";
            }
        }

        if (Groups == SimilarityCrossEntropyGroups.Shared && FalseNegativeMargin is not null)
        {
            return "The false-negative mask needs one positive a row to compare with; shared groups have several. Use masked groups, or set FalseNegativeMargin to null.";
        }

        return null;
    }
}
