namespace CrossAlign.Kernels.Cuda;

/// <summary>Embeddings as a product takes them.</summary>
/// <param name="Address">Of the first line.</param>
/// <param name="Stride">Elements from line to line.</param>
internal readonly record struct CudaSimilarityOperand(nint Address, int Stride);
