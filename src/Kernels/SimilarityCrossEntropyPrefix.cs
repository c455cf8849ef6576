namespace CrossAlign.Kernels;

/// <summary>One term of a Matryoshka loss: the loss of the first coordinates alone, normalised anew.</summary>
/// <param name="Width">How many coordinates; at most the width of the embeddings.</param>
/// <param name="Weight">The factor of this term; positive.</param>
/// <remarks>Source: A. Kusupati et al., "Matryoshka Representation Learning", 2022, equation 1.</remarks>
public readonly record struct SimilarityCrossEntropyPrefix(int Width, float Weight);
