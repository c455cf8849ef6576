using System.Globalization;

namespace CrossAlign.Runtime.Cuda.Emulation;

/// <summary>Turns parsed PTX into operations: registers get places in the register file, constants places of their own, opcodes their bodies.</summary>
internal sealed unsafe partial class PtxDecoder
{
    private const int Lanes = Warp.LaneCount;

    private readonly PtxText _module;
    private readonly PtxEntry _entry;
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

    private PtxDecoder(PtxText module, PtxEntry entry)
    {
        _module = module;
        _entry = entry;
    }

    /// <summary>Decodes one kernel.</summary>
    /// <exception cref="PtxException">An instruction is unknown; the message names it.</exception>
    public static PtxKernel Decode(PtxText module, PtxEntry entry) => new PtxDecoder(module, entry).Decode();

    private PtxKernel Decode()
    {
        foreach ((string name, int bits) in _entry.Registers)
        {
            if (bits == 1)
            {
                _predicates[name] = _predicates.Count;
            }
            else
            {
                _offsets[name] = NewRegister(bits == 64 ? 8 : 4);
            }
        }

        int sharedBytes = 0;
        foreach (PtxVariable variable in _entry.Shared.Concat(_module.Shared.Where(v => v.ByteCount > 0)))
        {
            sharedBytes = (sharedBytes + variable.Alignment - 1) / variable.Alignment * variable.Alignment;
            _shared[variable.Name] = sharedBytes;
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

        foreach (PtxOp op in ops)
        {
            if (op.Kind == OpKind.Branch && op.Target >= ops.Count)
            {
                throw Unknown("a branch behind the end");
            }
        }

        PtxOp[] array = [.. ops];
        ControlFlow.FindReconvergence(array);
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
            StaticSharedByteCount = sharedBytes,
            MaxThreads = _entry.MaxThreads,
            HasAtomics = _hasAtomics,
            GlobalCellShift = _globalCellShift,
            SharedCellShift = _sharedCellShift,
            VirtualRegisterCount = _offsets.Count,
        };
    }

    private PtxOp DecodeStatement()
    {
        PtxStatement s = _statement;
        PtxOp op = new()
        {
            Text = s.Operands.Length == 0 ? s.Opcode : s.Opcode,
            Line = s.Line,
            SourceFile = s.SourceFile,
            SourceLine = s.SourceLine,
        };
        if (s.Guard is not null)
        {
            op.Guard = Predicate(s.Guard);
            op.GuardNegated = s.Guard.Negated;
        }

        string[] parts = s.Opcode.Split('.');
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

    private void DecodeBarrier(PtxOp op, string[] parts)
    {
        op.Kind = OpKind.Barrier;
        op.Class = InstructionClass.Sync;
        PtxOperand[] operands = _statement.Operands;
        if (parts.Contains("red"))
        {
            // bar.red.op d, a, p
            bool predicate = parts[^1] == "pred";
            op.D = predicate ? Predicate(operands[0]) : Register(0, 4);
            op.Immediate = parts.Contains("popc") ? 0 : parts.Contains("or") ? 1 : 2;
            op.P = Predicate(operands[^1]);
            op.PNegated = operands[^1].Negated;
            return;
        }

        if (!parts.Contains("sync") || operands.Length != 1 || operands[0].Kind != OperandKind.Immediate)
        {
            throw Unknown("a barrier of part of a block");
        }
    }

    private void DecodeBarrierObject(PtxOp op, string[] parts)
    {
        op.Class = InstructionClass.Sync;
        PtxOperand[] operands = _statement.Operands;
        PtxOperand address = operands[parts[1] is "init" or "inval" ? 0 : 1];
        if (address.Kind != OperandKind.Address || !parts.Contains("shared"))
        {
            throw Unknown("the form");
        }

        DecodeAddress(op, address);
        switch (parts[1])
        {
            case "init":
                op.B = Register(1, 4);
                op.Run = &BarrierObjectOps.Init;
                return;
            case "inval":
                op.Run = &BarrierObjectOps.Invalidate;
                return;
            case "arrive" when operands.Length == 2 && !parts.Contains("noComplete"):
                op.D = operands[0].Text == "_" ? -1 : Register(0, 8);
                op.Run = &BarrierObjectOps.Arrive;
                return;
            case "test_wait" when !parts.Contains("parity"):
                op.D = Predicate(operands[0]);
                op.B = Register(2, 8);
                op.Run = &BarrierObjectOps.TestWait;
                return;
            default:
                throw Unknown("the instruction");
        }
    }

    private void DecodeAccess(PtxOp op, string[] parts)
    {
        bool isStore = parts[0] == "st";
        PtxOperand[] operands = _statement.Operands;
        PtxOperand address = operands[isStore ? 0 : 1];
        PtxOperand data = operands[isStore ? 1 : 0];
        string type = parts[^1];
        op.Size = int.Parse(type.AsSpan(1), CultureInfo.InvariantCulture) / 8;
        PtxOperand[] elements = data.Kind == OperandKind.Vector ? data.Elements : [data];
        op.Count = elements.Length;

        // A word may be loaded into a register of 64 bits, which it fills with its sign or with zeros.
        bool widens = !isStore && op.Size == 4 && op.Count == 1 && Bits(data) == 64;
        op.D = widens ? Place(data, 8) : op.D;
        op.Vector = widens ? [NewRegister(4)] : [.. elements.Select(e => Place(e, op.Size == 8 ? 8 : 4))];

        // A narrow load with a sign fills the register: 16 bits of a 16-bit one, else 32.
        op.PNegated = type[0] == 's' && op.Size < 4;
        op.P = !isStore && elements[0].Kind == OperandKind.Register && Bits(elements[0]) == 16 ? 16 : -1;
        op.Immediate = address.Value;
        if (parts.Contains("param"))
        {
            PtxParameter parameter = _entry.Parameters.Find(p => p.Name == address.Text) ?? throw Unknown("the parameter");
            op.Immediate += parameter.Offset;
            op.Class = InstructionClass.Integer;
            op.Run = !widens ? &MemoryOps.LoadParameter
                : type[0] == 's' ? &MemoryOps.LoadParameterWidened<int> : &MemoryOps.LoadParameterWidened<uint>;
            return;
        }

        DecodeAddress(op, address);
        int shift = System.Numerics.BitOperations.Log2((uint)(op.Size * op.Count));
        if (parts.Contains("shared"))
        {
            op.Class = InstructionClass.Shared;
            _sharedCellShift = Math.Min(_sharedCellShift, shift);
            op.Run = isStore ? &MemoryOps.StoreShared
                : !widens ? &MemoryOps.LoadShared
                : type[0] == 's' ? &MemoryOps.LoadSharedWidened<int> : &MemoryOps.LoadSharedWidened<uint>;
        }
        else if (parts.Contains("global"))
        {
            op.Class = InstructionClass.Global;
            _globalCellShift = Math.Min(_globalCellShift, shift);
            op.Run = isStore ? &MemoryOps.StoreGlobal
                : !widens ? &MemoryOps.LoadGlobal
                : type[0] == 's' ? &MemoryOps.LoadGlobalWidened<int> : &MemoryOps.LoadGlobalWidened<uint>;
        }
        else if (parts.Contains("local") || parts.Contains("const"))
        {
            throw Unknown("the memory");
        }
        else
        {
            op.Class = InstructionClass.Global;
            _globalCellShift = Math.Min(_globalCellShift, shift);
            _sharedCellShift = Math.Min(_sharedCellShift, shift);
            op.Run = isStore ? &MemoryOps.StoreGeneric
                : !widens ? &MemoryOps.LoadGeneric
                : type[0] == 's' ? &MemoryOps.LoadGenericWidened<int> : &MemoryOps.LoadGenericWidened<uint>;
        }
    }

    private void DecodeAddress(PtxOp op, PtxOperand address)
    {
        op.Immediate = address.Value;
        if (_shared.TryGetValue(address.Text, out int offset))
        {
            op.WideAddress = false;
            op.A = Constant(offset, 4);
            return;
        }

        op.WideAddress = _entry.Registers.TryGetValue(address.Text, out int bits) ? bits == 64 : throw Unknown("the address");
        op.A = _offsets[address.Text];
    }

    private void DecodeAsync(PtxOp op, string[] parts)
    {
        op.Class = InstructionClass.CpAsync;
        PtxOperand[] operands = _statement.Operands;
        switch (parts[2])
        {
            case "commit_group":
                op.Run = &AsyncOps.Commit;
                return;
            case "wait_group":
                op.Immediate = operands[0].Value;
                op.Run = &AsyncOps.Wait;
                return;
            case "wait_all":
                op.Immediate = -1;
                op.Run = &AsyncOps.Wait;
                return;
            case "ca" or "cg":
                DecodeAddress(op, operands[0]);
                op.B = _offsets[operands[1].Text];
                op.Vector = [checked((int)operands[1].Value)];
                op.Size = (int)operands[2].Value;
                op.C = operands.Length > 3 ? Register(3, 4) : -1;
                op.Run = &AsyncOps.Copy;
                _sharedCellShift = Math.Min(_sharedCellShift, System.Numerics.BitOperations.Log2((uint)op.Size));
                return;
            default:
                throw Unknown("the instruction");
        }
    }

    private void DecodeAtomic(PtxOp op, string[] parts)
    {
        bool returns = parts[0] == "atom";
        PtxOperand[] operands = _statement.Operands;
        int at = returns ? 1 : 0;
        string type = parts[^1];
        op.Class = InstructionClass.Atomic;
        op.Size = int.Parse(type.AsSpan(1), CultureInfo.InvariantCulture) / 8;
        op.P = parts.Contains("global") ? 1 : parts.Contains("shared") ? 2 : 0;
        DecodeAddress(op, operands[at]);
        op.D = returns ? Register(0, op.Size) : -1;
        op.B = Place(operands[at + 1], op.Size);
        op.C = operands.Length > at + 2 ? Place(operands[at + 2], op.Size) : -1;
        bool signed = type[0] == 's';
        string function = parts.First(p => p is "add" or "min" or "max" or "and" or "or" or "xor" or "exch" or "cas" or "inc");
        op.Target = (int)(function switch
        {
            "add" => type == "f32" ? AtomicFunction.AddSingle : type[0] == 'f' ? throw Unknown("the instruction") : AtomicFunction.Add,
            "min" => signed ? AtomicFunction.MinSigned : AtomicFunction.Min,
            "max" => signed ? AtomicFunction.MaxSigned : AtomicFunction.Max,
            "and" => AtomicFunction.And,
            "or" => AtomicFunction.Or,
            "xor" => AtomicFunction.Xor,
            "exch" => AtomicFunction.Exchange,
            "inc" => AtomicFunction.Increment,
            _ => AtomicFunction.CompareAndSwap,
        });
        op.Run = &AtomicOps.Run;
        _hasAtomics |= op.P != 2;
    }

    private void DecodeWarp(PtxOp op, string[] parts)
    {
        op.Class = InstructionClass.Warp;
        PtxOperand[] operands = _statement.Operands;
        switch (parts[0])
        {
            case "activemask":
                op.D = Register(0, 4);
                op.Run = &WarpOps.ActiveMask;
                return;
            case "shfl":
                // shfl.sync.mode.b32 d[|p], a, b, c, mask
                bool hasPredicate = operands.Length == 6;
                int at = hasPredicate ? 2 : 1;
                op.D = Register(0, 4);
                op.P = hasPredicate ? Predicate(operands[1]) : -1;
                op.A = Register(at, 4);
                op.B = Register(at + 1, 4);
                op.C = Register(at + 2, 4);
                op.Vector = [Register(at + 3, 4)];
                op.Immediate = parts[2] switch
                {
                    "up" => WarpOps.ShuffleUp,
                    "down" => WarpOps.ShuffleDown,
                    "bfly" => WarpOps.ShuffleXor,
                    _ => WarpOps.ShuffleIndex,
                };
                op.Run = &WarpOps.Shuffle;
                return;
            case "vote":
                op.Immediate = parts[2] switch { "ballot" => 0, "any" => 1, "all" => 2, _ => 3 };
                op.D = op.Immediate == 0 ? Register(0, 4) : Predicate(operands[0]);
                op.P = Predicate(operands[1]);
                op.PNegated = operands[1].Negated;
                op.Vector = [Register(2, 4)];
                op.Run = &WarpOps.Vote;
                return;
            case "match" when parts.Contains("any") && parts[^1] == "b32":
                op.D = Register(0, 4);
                op.A = Register(1, 4);
                op.Vector = [Register(2, 4)];
                op.Run = &WarpOps.MatchAny;
                return;
            case "redux":
                op.D = Register(0, 4);
                op.A = Register(1, 4);
                op.Vector = [Register(2, 4)];
                op.Immediate = (parts[2], parts[^1]) switch
                {
                    ("add", _) => 0,
                    ("min", "s32") => 6,
                    ("max", "s32") => 7,
                    ("min", _) => 1,
                    ("max", _) => 2,
                    ("and", _) => 3,
                    ("or", _) => 4,
                    _ => 5,
                };
                op.Run = &WarpOps.Reduce;
                return;
            default:
                throw Unknown("the instruction");
        }
    }

    private void DecodeMatrix(PtxOp op, string[] parts)
    {
        PtxOperand[] operands = _statement.Operands;
        if (parts[0] == "ldmatrix")
        {
            op.Class = InstructionClass.Shared;
            op.Vector = [.. operands[0].Elements.Select(e => Place(e, 4))];
            op.Count = op.Vector.Length;
            op.PNegated = parts.Contains("trans");
            DecodeAddress(op, operands[1]);
            op.Run = &MatrixOps.LoadMatrix;
            _sharedCellShift = Math.Min(_sharedCellShift, op.PNegated ? 1 : 2);
            return;
        }

        op.Class = InstructionClass.Mma;
        op.Vector = [.. operands.SelectMany(o => o.Elements).Select(e => Place(e, 4))];
        op.Run = _statement.Opcode switch
        {
            "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32" => &MatrixOps.MultiplyBFloat16,
            "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32" => &MatrixOps.MultiplyTf32,
            _ => throw Unknown("the instruction"),
        };
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

    private int Bits(PtxOperand operand) => _entry.Registers.TryGetValue(operand.Text, out int bits) ? bits : 32;

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
                bool wide = _entry.Registers[operand.Text] == 64;
                return wide == (size == 8) ? offset : throw Unknown($"the width of {operand.Text}");
            case OperandKind.Register:
                SpecialRegister special = operand.Text switch
                {
                    "%tid.x" => SpecialRegister.TidX,
                    "%tid.y" => SpecialRegister.TidY,
                    "%tid.z" => SpecialRegister.TidZ,
                    "%ntid.x" => SpecialRegister.NtidX,
                    "%ntid.y" => SpecialRegister.NtidY,
                    "%ntid.z" => SpecialRegister.NtidZ,
                    "%ctaid.x" => SpecialRegister.CtaidX,
                    "%ctaid.y" => SpecialRegister.CtaidY,
                    "%ctaid.z" => SpecialRegister.CtaidZ,
                    "%nctaid.x" => SpecialRegister.NctaidX,
                    "%nctaid.y" => SpecialRegister.NctaidY,
                    "%nctaid.z" => SpecialRegister.NctaidZ,
                    "%laneid" => SpecialRegister.LaneId,
                    "%warpid" => SpecialRegister.WarpId,
                    "%lanemask_lt" => SpecialRegister.LaneMaskLt,
                    "%lanemask_eq" => SpecialRegister.LaneMaskEq,
                    _ => throw Unknown($"the register {operand.Text}"),
                };
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
