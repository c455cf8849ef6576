using CrossAlign.Runtime;

namespace CrossAlign.Kernels.Cuda;

/// <summary>Some columns of the matrix of logits, with all rows: the images, or the extra negatives.</summary>
internal readonly struct CudaSimilarityBlock(in Tensor captions, in Tensor images, bool isExtra, int firstColumn, in Tensor dCaptions, in Tensor dImages)
{
    public Tensor Captions { get; } = captions;

    public Tensor Images { get; } = images;

    public bool IsExtra { get; } = isExtra;

    public int FirstColumn { get; } = firstColumn;

    public Tensor DCaptions { get; } = dCaptions;

    public Tensor DImages { get; } = dImages;

    public int ColumnCount => Images.Shape[0];
}
