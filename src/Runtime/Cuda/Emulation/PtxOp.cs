namespace CrossAlign.Runtime.Cuda.Emulation;

/// <summary>What the executor does with an operation beyond calling its body.</summary>
internal enum OpKind
{
    /// <summary>Calls the body under the guard's mask.</summary>
    Plain,

    /// <summary>Jumps; the lanes may part.</summary>
    Branch,

    /// <summary>Ends the lanes.</summary>
    Exit,

    /// <summary>Waits for the block.</summary>
    Barrier,
}

/// <summary>The classes in which executed warp instructions are counted.</summary>
public enum InstructionClass
{
    /// <summary>Integer, logic, comparison, moves and conversions.</summary>
    Integer,

    /// <summary>Float32 and float64 arithmetic.</summary>
    Float,

    /// <summary>Approximate and other functions of the special function unit: ex2, lg2, rsqrt, sqrt, rcp, div, tanh.</summary>
    Special,

    /// <summary>Accesses of global memory.</summary>
    Global,

    /// <summary>Accesses of shared memory, ldmatrix included.</summary>
    Shared,

    /// <summary>Shuffles, votes, matches and warp reductions.</summary>
    Warp,

    /// <summary>Tensor-core products.</summary>
    Mma,

    /// <summary>Branches and exits.</summary>
    Branch,

    /// <summary>Barriers, fences and waits.</summary>
    Sync,

    /// <summary>Asynchronous copies from global to shared memory.</summary>
    CpAsync,

    /// <summary>Atomic operations.</summary>
    Atomic,
}

/// <summary>One decoded instruction: no text is looked at while a kernel runs. Register operands are byte offsets into the warp's register file.</summary>
internal sealed unsafe class PtxOp
{
    /// <summary>The body; called with at least one lane.</summary>
    public delegate*<Warp, PtxOp, void> Run;

    public OpKind Kind;
    public InstructionClass Class;

    /// <summary>The guard's predicate, or -1.</summary>
    public int Guard = -1;
    public bool GuardNegated;

    /// <summary>Destination and sources: byte offsets of registers, or numbers of predicates.</summary>
    public int D = -1;
    public int A = -1;
    public int B = -1;
    public int C = -1;

    /// <summary>A further predicate (number), as of setp, selp and bar.red; its negation.</summary>
    public int P = -1;
    public bool PNegated;

    /// <summary>Offset of an address, number of a shuffle's mode, and the like.</summary>
    public long Immediate;

    /// <summary>Bytes of one element of a memory access, and elements a lane.</summary>
    public int Size;
    public int Count = 1;

    /// <summary>Whether the address is of 64 bits (global, generic) or 32 (shared).</summary>
    public bool WideAddress;

    /// <summary>Registers of a vector operand, destinations before sources.</summary>
    public int[] Vector = [];

    /// <summary>The index of the branch's target, and of the place where parted lanes meet again (the end of the kernel: the number of operations).</summary>
    public int Target;
    public int Reconverge;

    public required string Text;
    public int Line;
    public int SourceFile;
    public int SourceLine;
}

/// <summary>A kernel decoded for execution.</summary>
internal sealed class PtxKernel
{
    public required string Name { get; init; }

    public required PtxOp[] Ops { get; init; }

    public required PtxParameter[] Parameters { get; init; }

    /// <summary>The source files by number, for messages.</summary>
    public required Dictionary<int, string> Files { get; init; }

    public int ParameterByteCount => Parameters.Length == 0 ? 0 : Parameters[^1].Offset + Parameters[^1].ByteCount;

    /// <summary>Bytes of a warp's register file: registers first, then constants, then special registers.</summary>
    public int RegisterByteCount { get; init; }

    public int PredicateCount { get; init; }

    /// <summary>The predicate that always holds, or -1 where the kernel needs none.</summary>
    public int TruePredicate { get; init; }

    /// <summary>Constants to be spread over the lanes: (offset, bits, bytes a lane).</summary>
    public required (int Offset, long Value, int Size)[] Constants { get; init; }

    /// <summary>Special registers that the kernel reads: (offset, which).</summary>
    public required (int Offset, SpecialRegister Register)[] Specials { get; init; }

    /// <summary>Registers that a path reads before it writes them: (offset, bytes a lane). See <see cref="Emulation.LiveRegisters.Unwritten"/>.</summary>
    public required (int Offset, int Size)[] Unwritten { get; init; }

    /// <summary>The same for predicates: their numbers.</summary>
    public required int[] UnwrittenPredicates { get; init; }

    public int StaticSharedByteCount { get; init; }

    public int MaxThreads { get; init; }

    /// <summary>The only block that it may be launched with (<c>.reqntid</c>), or null.</summary>
    public Dim3? RequiredBlock { get; init; }

    public bool HasAtomics { get; init; }

    /// <summary>Log2 of the smallest access of global memory in bytes, at most 2: what a cell of the race check covers.</summary>
    public int GlobalCellShift { get; init; }

    /// <summary>The same for shared memory.</summary>
    public int SharedCellShift { get; init; }

    /// <summary>Registers alive at once, by kernel of the module; counted when first asked for. See <see cref="Emulation.LiveRegisters"/>.</summary>
    public required Lazy<IReadOnlyDictionary<string, int>> LiveRegisters { get; init; }

    /// <summary>The place of an operation in the source, as messages name it.</summary>
    public string Place(PtxOp op) => op.SourceLine > 0 && Files.TryGetValue(op.SourceFile, out string? file)
        ? string.Create(System.Globalization.CultureInfo.InvariantCulture, $"{Path.GetFileName(file)}:{op.SourceLine} (PTX line {op.Line}: {op.Text})")
        : string.Create(System.Globalization.CultureInfo.InvariantCulture, $"PTX line {op.Line} ({op.Text})");
}

/// <summary>Registers that the hardware fills.</summary>
internal enum SpecialRegister
{
    TidX,
    TidY,
    TidZ,
    NtidX,
    NtidY,
    NtidZ,
    CtaidX,
    CtaidY,
    CtaidZ,
    NctaidX,
    NctaidY,
    NctaidZ,
    LaneId,
    WarpId,
    LaneMaskLt,
    LaneMaskEq,
}
