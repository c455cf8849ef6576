using CrossAlign.Runtime;

namespace CrossAlign.Kernels;

/// <summary>Where <see cref="SimilarityCrossEntropy"/> puts the gradients. An absent tensor is a locked tower: its product is not done.</summary>
public readonly struct SimilarityCrossEntropyGradients
{
    /// <summary>(B, E) float32; overwritten (=). With normalisation the gradient of the rows before it.</summary>
    public Tensor DCaptions { get; init; }

    /// <summary>(K, E) float32; overwritten (=).</summary>
    public Tensor DImages { get; init; }

    /// <summary>(X, E) float32; overwritten (=).</summary>
    public Tensor DExtraNegatives { get; init; }

    /// <summary>One float32; added to (+=): the derivative with respect to what <see cref="SimilarityCrossEntropyInputs.Scale"/> holds.</summary>
    public Tensor DScale { get; init; }

    /// <summary>One float32; added to (+=); sigmoid objective only.</summary>
    public Tensor DBias { get; init; }
}
