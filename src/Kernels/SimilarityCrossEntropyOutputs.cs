using CrossAlign.Runtime;

namespace CrossAlign.Kernels;

/// <summary>What <see cref="SimilarityCrossEntropy"/> says of the loss. Everything is overwritten (=).</summary>
public readonly struct SimilarityCrossEntropyOutputs
{
    /// <summary>One float32: the loss.</summary>
    public Tensor Loss { get; init; }

    /// <summary>(B) float32, optional: each row's loss before weighting; 0 for an ignored row and where the direction has no row loss.
    /// With several prefixes that of the last one.</summary>
    public Tensor RowLoss { get; init; }

    /// <summary>(K) float32, optional: each column's loss before weighting; 0 for a column without a positive and where the direction
    /// has no column loss. With several prefixes that of the last one.</summary>
    public Tensor ColumnLoss { get; init; }
}
