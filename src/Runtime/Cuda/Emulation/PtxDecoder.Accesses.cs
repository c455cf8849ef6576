using System.Globalization;

namespace CrossAlign.Runtime.Cuda.Emulation;

/// <content>Loads, stores, asynchronous copies and atomic operations.</content>
internal sealed unsafe partial class PtxDecoder
{
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
        if (op.Size * op.Count is not (1 or 2 or 4 or 8 or 16))
        {
            throw Unknown("the size");
        }

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
            int bytes = op.Size * op.Count;
            if (address.Value < 0 || address.Value > parameter.ByteCount - bytes)
            {
                throw Wrong(string.Create(CultureInfo.InvariantCulture, $"{bytes} bytes at {address.Value} of the parameter {parameter.Name}, which has {parameter.ByteCount}"));
            }

            if (address.Value % bytes != 0 || parameter.Alignment % bytes != 0)
            {
                throw Wrong(string.Create(CultureInfo.InvariantCulture, $"{bytes} bytes at {address.Value} of the parameter {parameter.Name}, which is aligned to {parameter.Alignment}: misaligned"));
            }

            op.Immediate += parameter.Offset;
            op.Class = InstructionClass.Integer;
            op.Run = !widens ? &MemoryOps.LoadParameter
                : type[0] == 's' ? &MemoryOps.LoadParameterWidened<int> : &MemoryOps.LoadParameterWidened<uint>;
            return;
        }

        DecodeAddress(op, address, parts.Contains("shared"));
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

    private void DecodeAddress(PtxOp op, PtxOperand address, bool isShared)
    {
        op.Immediate = address.Value is >= int.MinValue and <= int.MaxValue ? address.Value : throw Wrong("an offset of more than 32 bits");
        if (_shared.TryGetValue(address.Text, out int offset))
        {
            if (!isShared)
            {
                throw Wrong($"the variable {address.Text}, which is in shared memory");
            }

            op.WideAddress = false;
            op.A = Constant(offset, 4);
            return;
        }

        if (!_entry.Registers.TryGetValue(address.Text, out PtxRegister register) || register.Kind is 'f' or 'p' || register.Bits < 32)
        {
            throw Wrong($"{address.Text} where an address belongs");
        }

        op.WideAddress = register.Bits == 64;
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
                op.Immediate = operands[0].Value is >= 0 and <= int.MaxValue ? operands[0].Value : throw Unknown($"the number {operands[0].Text}");
                op.Run = &AsyncOps.Wait;
                return;
            case "wait_all":
                op.Immediate = -1;
                op.Run = &AsyncOps.Wait;
                return;
            case "ca" or "cg":
                DecodeAddress(op, operands[0], isShared: true);
                DecodeSource(op, operands[1]);
                op.Size = operands[2].Value is 16 || (parts[2] == "ca" && operands[2].Value is 4 or 8) ? (int)operands[2].Value : throw Unknown($"the size {operands[2].Text}");
                op.C = operands.Length > 3 ? Register(3, 4) : -1;
                op.Run = &AsyncOps.Copy;
                _sharedCellShift = Math.Min(_sharedCellShift, System.Numerics.BitOperations.Log2((uint)op.Size));
                return;
            default:
                throw Unknown("the instruction");
        }
    }

    private void DecodeSource(PtxOp op, PtxOperand source)
    {
        bool isAddress = _entry.Registers.TryGetValue(source.Text, out PtxRegister register) && register is { Kind: not 'f', Bits: 64 };
        op.B = isAddress ? _offsets[source.Text] : throw Wrong($"{source.Text} where an address of global memory belongs");
        op.Vector = [source.Value is >= int.MinValue and <= int.MaxValue ? (int)source.Value : throw Wrong("an offset of more than 32 bits")];
    }

    private void DecodeAtomic(PtxOp op, string[] parts)
    {
        bool returns = parts[0] == "atom";
        PtxOperand[] operands = _statement.Operands;
        int at = returns ? 1 : 0;
        string type = parts[^1];
        op.Class = InstructionClass.Atomic;
        op.Size = TypeSize(type);
        op.P = parts.Contains("global") ? 1 : parts.Contains("shared") ? 2 : 0;
        DecodeAddress(op, operands[at], op.P == 2);
        op.D = returns ? Register(0, op.Size) : -1;
        op.B = Place(operands[at + 1], op.Size);
        op.C = operands.Length > at + 2 ? Place(operands[at + 2], op.Size) : -1;
        bool signed = type[0] == 's';
        string function = parts.First(p => p is "add" or "min" or "max" or "and" or "or" or "xor" or "exch" or "cas" or "inc");
        op.Target = (int)(function switch
        {
            "add" => type == "f32" ? AtomicFunction.AddSingle : AtomicFunction.Add,
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
}
