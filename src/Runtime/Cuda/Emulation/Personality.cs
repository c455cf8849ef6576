namespace CrossAlign.Runtime.Cuda.Emulation;

/// <summary>The limits of a GPU. Source: CUDA C++ Programming Guide, table "Technical Specifications per Compute Capability".</summary>
/// <param name="ComputeCapability">Ten times the number: 80.</param>
/// <param name="Name">As the driver would call it.</param>
/// <param name="MultiprocessorCount">Multiprocessors.</param>
/// <param name="MaxThreadsPerMultiprocessor">Resident threads.</param>
/// <param name="MaxBlocksPerMultiprocessor">Resident blocks.</param>
/// <param name="SharedPerMultiprocessor">Shared memory of a multiprocessor in bytes.</param>
/// <param name="SharedPerBlock">Shared memory that a block may ask for in bytes.</param>
public sealed record Personality(
    int ComputeCapability, string Name, int MultiprocessorCount, int MaxThreadsPerMultiprocessor, int MaxBlocksPerMultiprocessor, int SharedPerMultiprocessor, int SharedPerBlock)
{
    /// <summary>Shared memory that a block has without asking, in bytes.</summary>
    public const int DefaultSharedPerBlock = 48 * 1024;

    /// <summary>Shared memory that the system takes from each block, in bytes.</summary>
    public const int ReservedSharedPerBlock = 1024;

    /// <summary>The personality of a compute capability.</summary>
    /// <param name="computeCapability">80, 86 or 90.</param>
    /// <returns>The limits.</returns>
    /// <exception cref="ArgumentOutOfRangeException">There is none of that number.</exception>
    public static Personality Of(int computeCapability) => computeCapability switch
    {
        80 => new(80, "Emulated A100 (sm_80)", 108, 2048, 32, 164 * 1024, 163 * 1024),
        86 => new(86, "Emulated consumer GPU (sm_86)", 84, 1536, 16, 100 * 1024, 99 * 1024),
        90 => new(90, "Emulated H100 (sm_90)", 132, 2048, 32, 228 * 1024, 227 * 1024),
        _ => throw new ArgumentOutOfRangeException(nameof(computeCapability), computeCapability, "The emulated devices are sm_80, sm_86 and sm_90."),
    };

    /// <summary>Blocks of a kernel that fit a multiprocessor, by threads and shared memory; what registers allow only the driver's compiler knows.</summary>
    /// <param name="threadsPerBlock">Threads a block.</param>
    /// <param name="sharedPerBlock">Shared memory a block in bytes.</param>
    /// <returns>The number.</returns>
    public int MaxResidentBlocks(int threadsPerBlock, int sharedPerBlock)
    {
        int byThreads = MaxThreadsPerMultiprocessor / ((threadsPerBlock + 31) / 32 * 32);
        int byShared = SharedPerMultiprocessor / (sharedPerBlock + ReservedSharedPerBlock);
        return Math.Min(MaxBlocksPerMultiprocessor, Math.Min(byThreads, byShared));
    }
}
