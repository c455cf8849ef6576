using System.Globalization;

namespace CrossAlign.Runtime.Cuda.Emulation;

/// <summary>Turns parsed PTX into operations: registers get places in the register file, constants places of their own, opcodes their bodies.</summary>
internal sealed unsafe partial class PtxDecoder
{
    private const int Lanes = Warp.LaneCount;

    // Larger arrays must be dynamic.
    private const int MaxStaticShared = 48 << 10;

    private static readonly Dictionary<string, SpecialRegister> s_specialRegisters = new(StringComparer.Ordinal)
    {
        ["%tid.x"] = SpecialRegister.TidX,
        ["%tid.y"] = SpecialRegister.TidY,
        ["%tid.z"] = SpecialRegister.TidZ,
        ["%ntid.x"] = SpecialRegister.NtidX,
        ["%ntid.y"] = SpecialRegister.NtidY,
        ["%ntid.z"] = SpecialRegister.NtidZ,
        ["%ctaid.x"] = SpecialRegister.CtaidX,
        ["%ctaid.y"] = SpecialRegister.CtaidY,
        ["%ctaid.z"] = SpecialRegister.CtaidZ,
        ["%nctaid.x"] = SpecialRegister.NctaidX,
        ["%nctaid.y"] = SpecialRegister.NctaidY,
        ["%nctaid.z"] = SpecialRegister.NctaidZ,
        ["%laneid"] = SpecialRegister.LaneId,
        ["%warpid"] = SpecialRegister.WarpId,
        ["%lanemask_lt"] = SpecialRegister.LaneMaskLt,
        ["%lanemask_eq"] = SpecialRegister.LaneMaskEq,
    };

    private readonly PtxText _module;
    private readonly PtxEntry _entry;
    private readonly Lazy<IReadOnlyDictionary<string, int>> _liveRegisters;
    private readonly Dictionary<string, int> _offsets = new(StringComparer.Ordinal);
    private readonly Dictionary<string, int> _predicates = new(StringComparer.Ordinal);
    private readonly Dictionary<string, int> _shared = new(StringComparer.Ordinal);
    private readonly Dictionary<(long Value, int Size), int> _constants = [];
    private readonly Dictionary<SpecialRegister, int> _specials = [];
    private int _registerByteCount;
    private int _globalCellShift = 2;
    private int _sharedCellShift = 2;
    private bool _hasAtomics;
    private PtxStatement _statement = null!;

    private PtxDecoder(PtxText module, PtxEntry entry, Lazy<IReadOnlyDictionary<string, int>> liveRegisters)
    {
        _module = module;
        _entry = entry;
        _liveRegisters = liveRegisters;
    }

    /// <summary>Decodes one kernel.</summary>
    /// <exception cref="PtxException">An instruction is unknown or none that there is; the message names it.</exception>
    public static PtxKernel Decode(PtxText module, PtxEntry entry, Lazy<IReadOnlyDictionary<string, int>> liveRegisters) =>
        new PtxDecoder(module, entry, liveRegisters).Decode();

    private PtxKernel Decode()
    {
        foreach ((string name, PtxRegister register) in _entry.Registers)
        {
            if (register.Kind == 'p')
            {
                _predicates[name] = _predicates.Count;
            }
            else
            {
                _offsets[name] = NewRegister(register.Bits == 64 ? 8 : 4);
            }
        }

        int sharedBytes = 0;
        foreach (PtxVariable variable in _entry.Shared.Concat(_module.Shared.Where(v => v.ByteCount > 0)))
        {
            sharedBytes = (sharedBytes + variable.Alignment - 1) / variable.Alignment * variable.Alignment;
            _shared[variable.Name] = sharedBytes;
            if (variable.ByteCount > MaxStaticShared - sharedBytes)
            {
                throw new PtxException(variable.Line, string.Create(
                    CultureInfo.InvariantCulture, $"PTX line {variable.Line}: {_entry.Name} has more than {MaxStaticShared} bytes of static shared memory."));
            }

            sharedBytes += variable.ByteCount;
        }

        foreach (PtxVariable variable in _module.Shared.Where(v => v.ByteCount == 0))
        {
            // The dynamic array begins behind the static ones, at the alignment that the hardware gives it.
            sharedBytes = (sharedBytes + 15) / 16 * 16;
            _shared[variable.Name] = sharedBytes;
        }

        List<PtxOp> ops = [];
        foreach (PtxStatement statement in _entry.Statements)
        {
            _statement = statement;
            ops.Add(DecodeStatement());
        }

        if (ops.Count == 0 || ops[^1] is not { Kind: OpKind.Exit or OpKind.Branch, Guard: < 0 })
        {
            int line = _statement?.Line ?? 1;
            throw new PtxException(line, string.Create(CultureInfo.InvariantCulture, $"PTX line {line}: {_entry.Name} can run past its last instruction."));
        }

        for (int i = 0; i < ops.Count; i++)
        {
            if (ops[i].Kind == OpKind.Branch && ops[i].Target >= ops.Count)
            {
                _statement = _entry.Statements[i];
                throw Wrong("a branch behind the last instruction");
            }
        }

        PtxOp[] array = [.. ops];
        ControlFlow.FindReconvergence(array);
        IReadOnlyList<string> unwritten = LiveRegisters.Unwritten(_entry);
        return new PtxKernel
        {
            Name = _entry.Name,
            Ops = array,
            Parameters = [.. _entry.Parameters],
            Files = _module.Files,
            RegisterByteCount = _registerByteCount,
            PredicateCount = _predicates.Count,
            TruePredicate = _predicates.GetValueOrDefault("#true", -1),
            Constants = [.. _constants.Select(c => (c.Value, c.Key.Value, c.Key.Size))],
            Specials = [.. _specials.Select(s => (s.Value, s.Key))],
            Unwritten = [.. unwritten.Where(_offsets.ContainsKey).Select(r => (_offsets[r], _entry.Registers[r].Bits / 8))],
            UnwrittenPredicates = [.. unwritten.Where(_predicates.ContainsKey).Select(r => _predicates[r])],
            StaticSharedByteCount = sharedBytes,
            MaxThreads = _entry.MaxThreads,
            RequiredBlock = _entry.RequiredBlock,
            HasAtomics = _hasAtomics,
            GlobalCellShift = _globalCellShift,
            SharedCellShift = _sharedCellShift,
            LiveRegisters = _liveRegisters,
        };
    }

    private PtxOp DecodeStatement()
    {
        PtxStatement s = _statement;
        string[] parts = CheckForm().Parts;
        PtxOp op = new()
        {
            Text = s.Opcode,
            Line = s.Line,
            SourceFile = s.SourceFile,
            SourceLine = s.SourceLine,
        };
        if (s.Guard is not null)
        {
            op.Guard = Predicate(s.Guard);
            op.GuardNegated = s.Guard.Negated;
        }

        switch (parts[0])
        {
            case "bra":
                op.Kind = OpKind.Branch;
                op.Class = InstructionClass.Branch;
                op.Target = _entry.Labels.TryGetValue(s.Operands[0].Text, out int target) ? target : throw Unknown("the label");
                return op;
            case "ret" or "exit":
                op.Kind = OpKind.Exit;
                op.Class = InstructionClass.Branch;
                return op;
            case "bar" or "barrier" when parts.Contains("warp"):
                op.Class = InstructionClass.Sync;
                op.A = Register(0, 4);
                op.Run = &WarpOps.SyncWarp;
                return op;
            case "bar" or "barrier":
                DecodeBarrier(op, parts);
                return op;
            case "membar" or "fence":
                op.Class = InstructionClass.Sync;
                op.Immediate = parts.Contains("gl") || parts.Contains("sys") || parts.Contains("gpu") ? 1 : 0;
                op.Run = &WarpOps.Fence;
                return op;
            case "nanosleep":
                op.Class = InstructionClass.Sync;
                op.Run = &WarpOps.Nothing;
                return op;
            case "ld" or "ldu" or "st":
                DecodeAccess(op, parts);
                return op;
            case "cp":
                DecodeAsync(op, parts);
                return op;
            case "atom" or "red":
                DecodeAtomic(op, parts);
                return op;
            case "mbarrier":
                DecodeBarrierObject(op, parts);
                return op;
            case "shfl" or "vote" or "match" or "redux" or "activemask":
                DecodeWarp(op, parts);
                return op;
            case "mma" or "ldmatrix":
                DecodeMatrix(op, parts);
                return op;
            case "mov" or "cvta" or "cvt" or "setp" or "selp":
                DecodeMove(op, parts);
                return op;
            default:
                DecodeArithmetic(op, parts);
                return op;
        }
    }

    private int NewRegister(int size)
    {
        int offset = _registerByteCount;
        _registerByteCount += size * Lanes;
        return offset;
    }

    private int Constant(long value, int size)
    {
        if (!_constants.TryGetValue((value, size), out int offset))
        {
            _constants[(value, size)] = offset = NewRegister(size);
        }

        return offset;
    }

    private int Bits(PtxOperand operand) => _entry.Registers.TryGetValue(operand.Text, out PtxRegister register) ? register.Bits : 32;

    private int Register(int operand, int size) => Place(_statement.Operands[operand], size);

    private int Place(PtxOperand operand, int size)
    {
        switch (operand.Kind)
        {
            case OperandKind.Immediate:
                return Constant(operand.Value, size);
            case OperandKind.Symbol when _shared.TryGetValue(operand.Text, out int address):
                return Constant(address, size);
            case OperandKind.Register when _offsets.TryGetValue(operand.Text, out int offset):
                bool wide = Bits(operand) == 64;
                return wide == (size == 8) ? offset : throw Unknown($"the width of {operand.Text}");
            case OperandKind.Register:
                if (size != 4 || !s_specialRegisters.TryGetValue(operand.Text, out SpecialRegister special))
                {
                    throw Unknown($"the register {operand.Text}");
                }

                if (!_specials.TryGetValue(special, out int place))
                {
                    _specials[special] = place = NewRegister(4);
                }

                return place;
            default:
                throw Unknown($"the operand {operand.Text}");
        }
    }

    private int Predicate(PtxOperand operand)
    {
        if (operand.Kind == OperandKind.Immediate)
        {
            // A constant predicate is one that is never written.
            string name = operand.Value == 0 ? "#false" : "#true";
            if (!_predicates.TryGetValue(name, out int constant))
            {
                _predicates[name] = constant = _predicates.Count;
            }

            return constant;
        }

        return _predicates.TryGetValue(operand.Text, out int number) ? number : throw Unknown($"the predicate {operand.Text}");
    }

    private PtxException Unknown(string what) => new(_statement.Line, string.Create(
        CultureInfo.InvariantCulture, $"PTX line {_statement.Line}: {what} of '{_statement.Opcode}' is unknown to the emulated device."));
}
