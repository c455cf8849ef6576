namespace CrossAlign.Kernels.Cuda;

/// <summary>A piece of a side: the rows or the columns of a super-tile.</summary>
/// <param name="First">Its first row or column of the block.</param>
/// <param name="Count">How many there are, or room for.</param>
/// <param name="CountAddress">Where the device has how many there are: fewer, perhaps, where a side is bound to a number of live rows.</param>
internal readonly record struct CudaSimilarityPiece(int First, int Count, nint CountAddress);
