using CrossAlign.Runtime;

namespace CrossAlign.Kernels;

/// <summary>What <see cref="SimilarityCrossEntropy"/> reads. B rows are captions, K columns are images.</summary>
public readonly struct SimilarityCrossEntropyInputs
{
    /// <summary>(B, E), float32 or bfloat16.</summary>
    public Tensor Captions { get; init; }

    /// <summary>(K, E), the type of <see cref="Captions"/>.</summary>
    public Tensor Images { get; init; }

    /// <summary>One float32: logScale or the multiplier, see <see cref="SimilarityCrossEntropyOptions.Scale"/>.</summary>
    public Tensor Scale { get; init; }

    /// <summary>One float32 added to each logit; sigmoid objective only; absent for zero.</summary>
    public Tensor Bias { get; init; }

    /// <summary>(B) int32: the column that is each row's positive, or <see cref="SimilarityCrossEntropy.IgnoreIndex"/> for a row without
    /// loss. Absent: row i belongs to column i (then K is at least B). With shared groups only "ignored or not" is read.</summary>
    public Tensor Targets { get; init; }

    /// <summary>(B) float32, finite and not negative: the rows' weights; absent for 1.</summary>
    public Tensor RowWeights { get; init; }

    /// <summary>(B) int32: the rows' groups; exactly where <see cref="SimilarityCrossEntropyOptions.Groups"/> is not None.</summary>
    public Tensor CaptionGroups { get; init; }

    /// <summary>(K) int32: the columns' groups, in the numbering of <see cref="CaptionGroups"/>.</summary>
    public Tensor ImageGroups { get; init; }

    /// <summary>(X, E), the type of <see cref="Captions"/>: more columns, which are nobody's positive and belong to no group; absent for none.</summary>
    public Tensor ExtraNegatives { get; init; }
}
