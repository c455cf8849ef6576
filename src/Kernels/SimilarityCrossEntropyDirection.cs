namespace CrossAlign.Kernels;

/// <summary>Over which side of the similarity matrix the softmax runs.</summary>
public enum SimilarityCrossEntropyDirection
{
    /// <summary>The mean of both directions (CLIP). The only direction that the sigmoid objective has.</summary>
    Symmetric,

    /// <summary>Rows: each caption looks for its image among the columns (the paper's loss).</summary>
    CaptionToImage,

    /// <summary>Columns: each image looks for its caption among the rows.</summary>
    ImageToCaption,
}
