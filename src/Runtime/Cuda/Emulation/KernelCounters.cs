namespace CrossAlign.Runtime.Cuda.Emulation;

/// <summary>What an emulated device counts while a kernel runs: exact, and the same on every machine and for every seed.</summary>
public sealed class KernelCounters
{
    /// <summary>Warp instructions by <see cref="InstructionClass"/>.</summary>
    public long[] Instructions { get; } = new long[Enum.GetValues<InstructionClass>().Length];

    /// <summary>Launches.</summary>
    public long LaunchCount { get; set; }

    /// <summary>Blocks.</summary>
    public long BlockCount { get; set; }

    /// <summary>Threads.</summary>
    public long ThreadCount { get; set; }

    /// <summary>Branches at which the lanes of a warp parted.</summary>
    public long DivergentBranchCount { get; set; }

    /// <summary>Barriers of whole blocks.</summary>
    public long BarrierCount { get; set; }

    /// <summary>Requests of global memory: a warp's load, store or asynchronous copy.</summary>
    public long GlobalRequestCount { get; set; }

    /// <summary>Sectors of 32 bytes that the requests touch.</summary>
    public long GlobalSectorCount { get; set; }

    /// <summary>The least number of sectors that hold the bytes asked for.</summary>
    public long MinGlobalSectorCount { get; set; }

    /// <summary>Bytes that lanes read from global memory.</summary>
    public long GlobalReadByteCount { get; set; }

    /// <summary>Bytes that lanes write to global memory.</summary>
    public long GlobalWriteByteCount { get; set; }

    /// <summary>Passes through the 32 banks that accesses of shared memory take.</summary>
    public long SharedWavefrontCount { get; set; }

    /// <summary>The passes that they would take without bank conflicts.</summary>
    public long MinSharedWavefrontCount { get; set; }

    /// <summary>Multiplications and additions of the tensor cores, two a product.</summary>
    public long MmaOperationCount { get; set; }

    /// <summary>Different sectors that a launch touches, over all launches: what memory must move where caches keep everything. 0 unless <see cref="EmulationOptions.CountsFootprint"/> is set.</summary>
    public long FootprintSectorCount { get; set; }

    /// <summary>The most shared memory that a block had, declared and asked for, in bytes.</summary>
    public int SharedByteCount { get; set; }

    /// <summary>All warp instructions.</summary>
    public long InstructionCount => Instructions.Sum();

    /// <summary>Adds what another run has counted.</summary>
    /// <param name="other">Read.</param>
    public void Add(KernelCounters other)
    {
        ArgumentNullException.ThrowIfNull(other);
        for (int i = 0; i < Instructions.Length; i++)
        {
            Instructions[i] += other.Instructions[i];
        }

        LaunchCount += other.LaunchCount;
        BlockCount += other.BlockCount;
        ThreadCount += other.ThreadCount;
        DivergentBranchCount += other.DivergentBranchCount;
        BarrierCount += other.BarrierCount;
        GlobalRequestCount += other.GlobalRequestCount;
        GlobalSectorCount += other.GlobalSectorCount;
        MinGlobalSectorCount += other.MinGlobalSectorCount;
        GlobalReadByteCount += other.GlobalReadByteCount;
        GlobalWriteByteCount += other.GlobalWriteByteCount;
        SharedWavefrontCount += other.SharedWavefrontCount;
        MinSharedWavefrontCount += other.MinSharedWavefrontCount;
        MmaOperationCount += other.MmaOperationCount;
        FootprintSectorCount += other.FootprintSectorCount;
        SharedByteCount = Math.Max(SharedByteCount, other.SharedByteCount);
    }
}
