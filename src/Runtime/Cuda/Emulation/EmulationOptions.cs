namespace CrossAlign.Runtime.Cuda.Emulation;

/// <summary>In which order blocks and warps take turns.</summary>
public enum Interleaving
{
    /// <summary>Blocks and warps by their number, each as far as it gets.</summary>
    Forward,

    /// <summary>The last first.</summary>
    Reverse,

    /// <summary>Any order, changed after a few instructions.</summary>
    Random,
}

/// <summary>How an emulated device uses the freedom that the instructions' definitions leave.</summary>
public enum Arithmetic
{
    /// <summary>Approximate instructions as exact as float32 allows; tensor cores accumulate one product after the other.</summary>
    Sequential,

    /// <summary>Approximate instructions high by their whole error; tensor cores add truncated groups of 4.</summary>
    TruncatedBy4,

    /// <summary>Approximate instructions low by their whole error; tensor cores add truncated groups of 8.</summary>
    TruncatedBy8,

    /// <summary>Errors scattered within their bounds by a hash of the operand; tensor cores add truncated groups of 16.</summary>
    TruncatedBy16,

    /// <summary>Errors scattered; tensor cores accumulate in double.</summary>
    Double,
}

/// <summary>Which device is emulated and how it behaves. The same options give the same run.</summary>
public sealed record EmulationOptions
{
    /// <summary>The personality: 80 (A100), 86 (a consumer's card) or 90 (H100).</summary>
    public int ComputeCapability { get; init; } = 80;

    /// <summary>Chooses interleavings, reconvergence, copies and stream order.</summary>
    public ulong Seed { get; init; }

    /// <summary>The order of blocks and warps.</summary>
    public Interleaving Interleaving { get; init; }

    /// <summary>The arithmetic's freedom.</summary>
    public Arithmetic Arithmetic { get; init; }

    /// <summary>The device's memory in bytes; what it really holds is taken from the host as it is allocated.</summary>
    public long MemoryByteCount { get; init; } = 4L << 30;

    /// <summary>The most blocks that a grid may have along y, and along z; a device with few shows what a launch does beyond the limit.</summary>
    public int MaxGridRows { get; init; } = 65535;

    /// <summary>Threads of the host that execute blocks; 0 for one a processor.</summary>
    public int WorkerCount { get; init; }

    /// <summary>Whether <see cref="KernelCounters.FootprintSectorCount"/> is counted: a pass over the touched allocations after each launch.</summary>
    public bool CountsFootprint { get; init; }

    /// <summary>Warp instructions after which a block is taken to be endless (error 702).</summary>
    public long MaxInstructionsPerBlock { get; init; } = 1L << 29;

    /// <summary>The n-th of the standard variations: three interleavings crossed with the ways of arithmetic.</summary>
    /// <param name="seed">Any number; equal numbers give equal options.</param>
    /// <returns>The options.</returns>
    public static EmulationOptions ForSeed(ulong seed) => new()
    {
        Seed = seed,
        Interleaving = (Interleaving)(seed % 3),
        Arithmetic = (Arithmetic)(seed % 5),
    };
}
