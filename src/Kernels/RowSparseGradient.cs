using CrossAlign.Runtime;

namespace CrossAlign.Kernels;

/// <summary>
/// The gradient of a table of rows of which few are touched (word embeddings with a vocabulary of hundreds of thousands): the
/// touched rows' numbers and sums alone. Made by <see cref="Embedding.BackwardSparse"/>, read by <see cref="GradientNorm"/> and
/// <see cref="AdamW"/>, which treat all other rows as zero.
/// </summary>
/// <param name="RowIds">(K), int32: the numbers of the touched rows, ascending, each once; entries from <paramref name="RowCount"/> on are undefined.</param>
/// <param name="Values">(K, C), float32: the gradient of those rows; rows from <paramref name="RowCount"/> on are undefined.</param>
/// <param name="RowCount">(1), int32: how many rows are touched, at most K; on the device, so that nobody has to wait for it.</param>
public readonly record struct RowSparseGradient(Tensor RowIds, Tensor Values, Tensor RowCount)
{
    /// <summary>Whether there is such a gradient at all; false for the default value.</summary>
    public bool IsPresent => Values.IsPresent;
}
