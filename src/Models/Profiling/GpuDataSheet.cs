using CrossAlign.Runtime.Cuda.Emulation;

namespace CrossAlign.Models.Profiling;

/// <summary>What a GPU's data sheet promises, and its limits: what lower bounds of a kernel's time are computed from.</summary>
/// <param name="Name">As tables name it.</param>
/// <param name="Limits">Multiprocessors, threads and shared memory.</param>
/// <param name="MemoryGBps">GB/s of its memory.</param>
/// <param name="FloatTflops">TFLOP/s of float32 arithmetic outside the tensor cores.</param>
/// <param name="FloatLanes">Float32 lanes of a multiprocessor.</param>
/// <param name="BFloat16Tflops">TFLOP/s of dense bfloat16 products on the tensor cores.</param>
/// <param name="Tf32Tflops">TFLOP/s of dense TF32 products on the tensor cores.</param>
public sealed record GpuDataSheet(
    string Name, Personality Limits, double MemoryGBps, double FloatTflops, int FloatLanes, double BFloat16Tflops, double Tf32Tflops)
{
    // Four schedulers of one warp instruction a clock each, and 32 banks of 4 bytes: of every GPU from compute capability 7.0 on.
    private const int IssuePerClock = 4;

    // Results a clock and multiprocessor, of compute capability 8.0 and 9.0. Source: CUDA C++ Programming Guide, "Throughput of Native Arithmetic Instructions".
    private const int SpecialPerClock = 16;

    /// <summary>A100, 80 GB, SXM. Source: NVIDIA A100 Tensor Core GPU data sheet; lanes: its architecture's white paper.</summary>
    public static GpuDataSheet A100 { get; } = new("A100", Personality.Of(80), 2039, 19.5, 64, 312, 156);

    /// <summary>H100, SXM. Source: NVIDIA H100 Tensor Core GPU data sheet (figures without sparsity); lanes: its architecture's white paper.</summary>
    public static GpuDataSheet H100 { get; } = new("H100", Personality.Of(90), 3350, 67, 128, 989.4, 494.7);

    /// <summary>
    /// The H100 with half of the data sheet's rate on the tensor cores: about what instructions of a warp (<c>mma.sync</c>, the only ones of
    /// sm_80) reach on Hopper, where the whole rate takes those of a warp group. An expectation, not a bound.
    /// </summary>
    public static GpuDataSheet H100Warps { get; } = H100 with { Name = "H100, half rate", BFloat16Tflops = H100.BFloat16Tflops / 2, Tf32Tflops = H100.Tf32Tflops / 2 };

    /// <summary>The clock at which the promised float32 rate is reached, in GHz.</summary>
    public double ClockGHz => FloatTflops * 1e3 / (2.0 * FloatLanes * Limits.MultiprocessorCount);

    /// <summary>The least time that a kernel can take by each resource that the emulated device counts the use of.</summary>
    /// <param name="counters">Of the kernel's launches; with its footprint.</param>
    /// <param name="isBFloat16">Whether its tensor-core products are of bfloat16, else of TF32.</param>
    /// <returns>Resource and microseconds, the largest first.</returns>
    /// <exception cref="ArgumentNullException"><paramref name="counters"/> is null.</exception>
    public IReadOnlyList<(string Resource, double Microseconds)> LowerBounds(KernelCounters counters, bool isBFloat16)
    {
        ArgumentNullException.ThrowIfNull(counters);

        // A multiprocessor without a block does nothing.
        double busy = Math.Min(Limits.MultiprocessorCount, counters.BlockCount / (double)Math.Max(counters.LaunchCount, 1));
        double share = busy / Limits.MultiprocessorCount;
        double clocks = busy * ClockGHz * 1e3;
        (string Resource, double Microseconds)[] bounds =
        [
            ("memory", counters.FootprintSectorCount * 32 / (MemoryGBps * 1e3)),
            ("tensor cores", counters.MmaOperationCount / ((isBFloat16 ? BFloat16Tflops : Tf32Tflops) * share * 1e6)),
            ("float32", counters.Instructions[(int)InstructionClass.Float] * 32.0 / (FloatLanes * clocks)),
            ("special functions", counters.Instructions[(int)InstructionClass.Special] * 32.0 / (SpecialPerClock * clocks)),
            ("issue", counters.InstructionCount / (IssuePerClock * clocks)),
            ("shared memory", counters.SharedWavefrontCount / clocks),
        ];
        return [.. bounds.OrderByDescending(b => b.Microseconds)];
    }

    /// <summary>Blocks of a kernel that a multiprocessor can hold at once, and what limits them; what registers allow only the driver's compiler knows.</summary>
    /// <param name="threadsPerBlock">Threads a block.</param>
    /// <param name="sharedPerBlock">Shared memory a block in bytes.</param>
    /// <returns>The number and the limit's name.</returns>
    public (int Blocks, string Limit) Occupancy(int threadsPerBlock, int sharedPerBlock)
    {
        int blocks = Limits.MaxResidentBlocks(threadsPerBlock, sharedPerBlock);
        int byThreads = Limits.MaxThreadsPerMultiprocessor / ((threadsPerBlock + 31) / 32 * 32);
        return (blocks, blocks == byThreads ? "threads" : blocks == Limits.MaxBlocksPerMultiprocessor ? "blocks" : "shared memory");
    }
}
