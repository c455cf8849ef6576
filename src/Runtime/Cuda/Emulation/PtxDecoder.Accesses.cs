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
            if (isStore || address.Value < 0 || address.Value + (op.Size * op.Count) > parameter.ByteCount)
            {
                throw Unknown("an access past the parameter");
            }

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

        op.WideAddress = _entry.Registers.TryGetValue(address.Text, out int bits) && bits > 1 ? bits == 64 : throw Unknown("the address");
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
                op.B = _offsets.TryGetValue(operands[1].Text, out int source) && Bits(operands[1]) == 64 ? source : throw Unknown("the source");
                op.Vector = [checked((int)operands[1].Value)];
                op.Size = operands[2].Value is 4 or 8 or 16 ? (int)operands[2].Value : throw Unknown("the size");
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
        op.Size = type is [_, '3', '2'] ? 4 : type is [_, '6', '4'] ? 8 : throw Unknown("the size");
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
        if (op.Size == 8 && (AtomicFunction)op.Target is AtomicFunction.AddSingle or AtomicFunction.Increment)
        {
            throw Unknown("the type");
        }

        op.Run = &AtomicOps.Run;
        _hasAtomics |= op.P != 2;
    }
}
