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

    /// <summary>Different sectors that a launch reads before it has itself written them, and different sectors that it writes, over all launches: what memory must move where caches keep everything. One that is read and then written counts twice. 0 unless <see cref="EmulationOptions.CountsFootprint"/> is set.</summary>
    public long FootprintSectorCount { get; set; }

    /// <summary>The most shared memory that a block had, declared and asked for, in bytes.</summary>
    public int SharedByteCount { get; set; }

    /// <summary>All warp instructions.</summary>
    public long InstructionCount => Instructions.Sum();

    /// <summary>A weighted sum, each count rounded: what a polynomial through several counts gives elsewhere.</summary>
    /// <param name="terms">Weights, which may be negative, and counters.</param>
    /// <returns>New counters; the shared memory of a block is the most of all.</returns>
    public static KernelCounters Combine(IReadOnlyList<(double Weight, KernelCounters Counters)> terms)
    {
        ArgumentNullException.ThrowIfNull(terms);
        long Sum(Func<KernelCounters, long> count) => (long)Math.Round(terms.Sum(t => t.Weight * count(t.Counters)));
        KernelCounters sum = new()
        {
            LaunchCount = Sum(c => c.LaunchCount),
            BlockCount = Sum(c => c.BlockCount),
            ThreadCount = Sum(c => c.ThreadCount),
            DivergentBranchCount = Sum(c => c.DivergentBranchCount),
            BarrierCount = Sum(c => c.BarrierCount),
            GlobalRequestCount = Sum(c => c.GlobalRequestCount),
            GlobalSectorCount = Sum(c => c.GlobalSectorCount),
            MinGlobalSectorCount = Sum(c => c.MinGlobalSectorCount),
            GlobalReadByteCount = Sum(c => c.GlobalReadByteCount),
            GlobalWriteByteCount = Sum(c => c.GlobalWriteByteCount),
            SharedWavefrontCount = Sum(c => c.SharedWavefrontCount),
            MinSharedWavefrontCount = Sum(c => c.MinSharedWavefrontCount),
            MmaOperationCount = Sum(c => c.MmaOperationCount),
            FootprintSectorCount = Sum(c => c.FootprintSectorCount),
            SharedByteCount = terms.Max(t => t.Counters.SharedByteCount),
        };
        for (int i = 0; i < sum.Instructions.Length; i++)
        {
            sum.Instructions[i] = Sum(c => c.Instructions[i]);
        }

        return sum;
    }

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
