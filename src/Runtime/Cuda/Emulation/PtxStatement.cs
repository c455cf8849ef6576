namespace CrossAlign.Runtime.Cuda.Emulation;

/// <summary>What an operand of an instruction is.</summary>
internal enum OperandKind
{
    /// <summary>A register of 16, 32 or 64 bits.</summary>
    Register,

    /// <summary>A predicate register.</summary>
    Predicate,

    /// <summary>A number, as bits.</summary>
    Immediate,

    /// <summary>A name in brackets: register or variable plus offset.</summary>
    Address,

    /// <summary>Several operands in braces.</summary>
    Vector,

    /// <summary>A label or the name of a variable.</summary>
    Symbol,
}

/// <summary>An operand as written.</summary>
/// <param name="Kind">What it is.</param>
/// <param name="Text">The name, without sign, brackets and offset.</param>
/// <param name="Value">The bits of an immediate, the offset of an address.</param>
/// <param name="Negated">A predicate with an exclamation mark.</param>
/// <param name="Elements">The operands in braces.</param>
internal sealed record PtxOperand(OperandKind Kind, string Text, long Value, bool Negated, PtxOperand[] Elements)
{
    /// <summary>It stands behind a bar, as the second result of setp and shfl.</summary>
    public bool IsPaired { get; init; }
}

/// <summary>What a register was declared to hold.</summary>
/// <param name="Kind">b, u, s, f, or p for predicates.</param>
/// <param name="Bits">16, 32 or 64; 1 for predicates.</param>
internal readonly record struct PtxRegister(char Kind, int Bits)
{
    /// <inheritdoc/>
    public override string ToString() => Kind == 'p' ? "pred" : string.Create(System.Globalization.CultureInfo.InvariantCulture, $"{Kind}{Bits}");
}

/// <summary>One instruction as written, before it is decoded.</summary>
/// <param name="Opcode">With its dots: <c>ld.global.v4.f32</c>.</param>
/// <param name="Operands">In their order.</param>
/// <param name="Guard">The predicate in front of it, or null.</param>
/// <param name="Line">The line of the PTX text, from 1.</param>
/// <param name="SourceFile">The number of the source file of the last <c>.loc</c>, or 0.</param>
/// <param name="SourceLine">The line of the last <c>.loc</c>, or 0.</param>
internal sealed record PtxStatement(string Opcode, PtxOperand[] Operands, PtxOperand? Guard, int Line, int SourceFile, int SourceLine);

/// <summary>A variable in shared memory.</summary>
/// <param name="Name">Its name.</param>
/// <param name="ByteCount">Its size; 0 for the dynamic array.</param>
/// <param name="Alignment">Its alignment in bytes.</param>
/// <param name="Line">The line of its declaration.</param>
internal sealed record PtxVariable(string Name, int ByteCount, int Alignment, int Line);

/// <summary>A parameter of a kernel.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Offset">Where it lies in the parameter buffer.</param>
/// <param name="ByteCount">Its size.</param>
/// <param name="Alignment">Its alignment in bytes.</param>
internal sealed record PtxParameter(string Name, int Offset, int ByteCount, int Alignment);

/// <summary>A kernel as written.</summary>
internal sealed class PtxEntry(string name)
{
    public string Name { get; } = name;

    public List<PtxParameter> Parameters { get; } = [];

    /// <summary>Registers and what they hold.</summary>
    public Dictionary<string, PtxRegister> Registers { get; } = new(StringComparer.Ordinal);

    public List<PtxVariable> Shared { get; } = [];

    public List<PtxStatement> Statements { get; } = [];

    /// <summary>Labels and the index of the statement that follows.</summary>
    public Dictionary<string, int> Labels { get; } = new(StringComparer.Ordinal);

    /// <summary>The most threads a block that the kernel was compiled for; 0 for no limit.</summary>
    public int MaxThreads { get; set; }

    /// <summary>The only block that the kernel may be launched with, or null.</summary>
    public Dim3? RequiredBlock { get; set; }
}

/// <summary>A whole PTX text, parsed.</summary>
internal sealed class PtxText
{
    /// <summary>Ten times the version of the language: 70.</summary>
    public int Version { get; set; }

    /// <summary>The target's number: 80 of <c>sm_80</c>.</summary>
    public int Target { get; set; }

    public List<PtxEntry> Entries { get; } = [];

    /// <summary>Shared variables outside of kernels: the dynamic array.</summary>
    public List<PtxVariable> Shared { get; } = [];

    /// <summary>The names of source files by their number.</summary>
    public Dictionary<int, string> Files { get; } = [];
}
