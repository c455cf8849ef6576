namespace CrossAlign.Runtime.Cuda.Emulation;

/// <content>What warps and blocks do together: barriers, shuffles and votes, the tensor cores.</content>
internal sealed unsafe partial class PtxDecoder
{
    private void DecodeBarrier(PtxOp op, string[] parts)
    {
        op.Kind = OpKind.Barrier;
        op.Class = InstructionClass.Sync;
        PtxOperand[] operands = _statement.Operands;
        PtxOperand barrier = operands[parts[1] == "red" ? 1 : 0];
        if (barrier.Value is < 0 or > 15)
        {
            throw Unknown($"the barrier {barrier.Text}");
        }

        // A barrier without a count of threads waits for all of the block, at this place: its number, one of 16, changes nothing then.

        if (parts[1] == "red")
        {
            // bar.red.op d, a, p
            bool predicate = parts[^1] == "pred";
            op.D = predicate ? Predicate(operands[0]) : Register(0, 4);
            op.Immediate = parts.Contains("popc") ? 0 : parts.Contains("or") ? 1 : 2;
            op.P = Predicate(operands[^1]);
            op.PNegated = operands[^1].Negated;
        }
    }

    private void DecodeBarrierObject(PtxOp op, string[] parts)
    {
        op.Class = InstructionClass.Sync;
        PtxOperand[] operands = _statement.Operands;
        PtxOperand address = operands[parts[1] is "init" or "inval" ? 0 : 1];
        DecodeAddress(op, address, isShared: true);
        switch (parts[1])
        {
            case "init":
                op.B = Register(1, 4);
                op.Run = &BarrierObjectOps.Init;
                return;
            case "inval":
                op.Run = &BarrierObjectOps.Invalidate;
                return;
            case "arrive":
                op.D = operands[0].Text == "_" ? -1 : Register(0, 8);
                op.Run = &BarrierObjectOps.Arrive;
                return;
            case "test_wait":
                op.D = Predicate(operands[0]);
                op.B = Register(2, 8);
                op.Run = &BarrierObjectOps.TestWait;
                return;
            default:
                throw Unknown("the instruction");
        }
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
            case "match":
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
            DecodeAddress(op, operands[1], isShared: true);
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
}
