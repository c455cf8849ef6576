namespace CrossAlign.Models.Profiling;

/// <summary>What a GPU could make of a kernel: computed from counters and its data sheet, not measured.</summary>
/// <param name="Gpu">The GPU.</param>
/// <param name="ResidentBlocks">Blocks that a multiprocessor can hold at once, as far as threads and shared memory go.</param>
/// <param name="OccupancyLimit">What limits them.</param>
/// <param name="LowerBoundMicroseconds">No launch of it can take less.</param>
/// <param name="BoundBy">The resource that the lower bound comes from.</param>
public sealed record KernelBound(string Gpu, int ResidentBlocks, string OccupancyLimit, double LowerBoundMicroseconds, string BoundBy);
