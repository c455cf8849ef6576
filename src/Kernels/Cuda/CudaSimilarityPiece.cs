namespace CrossAlign.Kernels.Cuda;

/// <summary>A piece of a side: the rows or the columns of a super-tile.</summary>
internal readonly struct CudaSimilarityPiece(CudaSimilarityPlan plan, int count, int piece)
{
    public int First { get; } = plan.PieceStart(count, piece);

    public int Count { get; } = plan.PieceStart(count, piece + 1) - plan.PieceStart(count, piece);
}
