namespace CrossAlign.Models.Profiling;

/// <summary>What the emulated device counted of one kernel at one shape, and what follows from it. All launches of the case together.</summary>
public sealed record KernelProfileRow
{
    /// <summary>The operation.</summary>
    public required string Operation { get; init; }

    /// <summary>The shape.</summary>
    public required string Shape { get; init; }

    /// <summary>The activations' storage and the precision of products: <c>f32</c>, <c>tf32</c>, <c>bf16</c>, or <c>f32 as bf16</c> for float32 that products round.</summary>
    public required string DType { get; init; }

    /// <summary>The kernel's name in the PTX.</summary>
    public required string Kernel { get; init; }

    /// <summary>Launches.</summary>
    public required long Launches { get; init; }

    /// <summary>Blocks of a launch.</summary>
    public required long Blocks { get; init; }

    /// <summary>Threads of a block.</summary>
    public required int Threads { get; init; }

    /// <summary>Shared memory of a block in bytes, declared and asked for.</summary>
    public required int SharedBytes { get; init; }

    /// <summary>32-bit registers of a thread that are alive at once in the PTX, where most are: an estimate of what the driver's compiler will need.</summary>
    public required int LiveRegisters { get; init; }

    /// <summary>Warp instructions.</summary>
    public required long Instructions { get; init; }

    /// <summary>Warp instructions by class.</summary>
    public required IReadOnlyDictionary<string, long> InstructionsByClass { get; init; }

    /// <summary>Branches at which the lanes of a warp parted.</summary>
    public required long DivergentBranches { get; init; }

    /// <summary>Barriers of whole blocks.</summary>
    public required long Barriers { get; init; }

    /// <summary>32-byte sectors that requests of global memory touch.</summary>
    public required long Sectors { get; init; }

    /// <summary>The least that could hold what they ask for.</summary>
    public required long MinSectors { get; init; }

    /// <summary>Bytes of the different sectors that a launch reads and of those that it writes; what it changes in place crosses the bus twice.</summary>
    public required long FootprintBytes { get; init; }

    /// <summary>Passes through the banks of shared memory.</summary>
    public required long Wavefronts { get; init; }

    /// <summary>The passes without bank conflicts.</summary>
    public required long MinWavefronts { get; init; }

    /// <summary>Multiplications and additions of the tensor cores.</summary>
    public required long TensorOperations { get; init; }

    /// <summary>Tensor-core operations and float instructions of lanes, over the footprint's bytes.</summary>
    public required double Intensity { get; init; }

    /// <summary>What GPUs could make of it.</summary>
    public required IReadOnlyList<KernelBound> Bounds { get; init; }
}
