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
}
