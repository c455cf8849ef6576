namespace CrossAlign.Kernels.Cpu.Similarity;

/// <summary>
/// A rectangle of the global matrix of logits: some rows by some columns, with where they lie in the whole. One device has one
/// block, or two with extra negatives; several devices would each go through the blocks that they hold.
/// </summary>
internal unsafe struct CpuSimilarityBlock
{
    public void* Captions;
    public int RowCount;
    public int RowOffset;
    public float* DCaptions;
    public void* Images;
    public int ColumnCount;
    public int ColumnOffset;
    public float* DImages;

    /// <summary>Whether the gradients' content is to be overwritten and not added to: the block is the first that has a part of them, and they have the products' width.</summary>
    public bool OverwritesDCaptions;
    public bool OverwritesDImages;
}
