using System.Globalization;

namespace CrossAlign.Runtime.Cuda.Emulation;

/// <content>Moves, conversions, comparisons and arithmetic.</content>
internal sealed unsafe partial class PtxDecoder
{
    private void DecodeMove(PtxOp op, string[] parts)
    {
        op.Class = InstructionClass.Integer;
        PtxOperand[] operands = _statement.Operands;
        string type = parts[^1];
        switch (parts[0])
        {
            case "mov" when type == "pred":
                op.D = Predicate(operands[0]);
                op.A = Predicate(operands[1]);
                op.PNegated = operands[1].Negated;
                op.Immediate = 4;
                op.Run = &LaneMath.Predicates;
                return;
            case "mov" when operands[1].Kind == OperandKind.Vector:
                op.Size = TypeSize(type);
                op.D = Register(0, op.Size);
                op.Vector = [.. operands[1].Elements.Select(e => Place(e, 4))];
                op.Run = &LaneMath.Pack;
                return;
            case "mov" when operands[0].Kind == OperandKind.Vector:
                op.Size = TypeSize(type);
                op.A = Register(1, op.Size);
                op.Vector = [.. operands[0].Elements.Select(e => Place(e, 4))];
                op.Run = &LaneMath.Unpack;
                return;
            case "mov":
                bool wideMove = TypeSize(type) == 8;
                op.D = Register(0, wideMove ? 8 : 4);
                op.A = Register(1, wideMove ? 8 : 4);
                op.Run = wideMove ? &LaneMath.Move<ulong> : &LaneMath.Move<uint>;
                return;
            case "cvta":
                DecodeAddressConversion(op, parts);
                return;
            case "cvt":
                DecodeConversion(op, parts);
                return;
            case "selp":
                bool wide = TypeSize(type) == 8;
                op.D = Register(0, wide ? 8 : 4);
                op.A = Register(1, wide ? 8 : 4);
                op.B = Register(2, wide ? 8 : 4);
                op.P = Predicate(operands[3]);
                op.PNegated = operands[3].Negated;
                op.Run = wide ? &LaneMath.Select<ulong> : &LaneMath.Select<uint>;
                return;
            default:
                DecodeComparison(op, parts);
                return;
        }
    }

    private void DecodeAddressConversion(PtxOp op, string[] parts)
    {
        // Only shared memory has a window of its own; global addresses are generic ones.
        bool shared = parts.Contains("shared");
        op.D = Register(0, 8);
        op.A = Register(1, 8);
        if (!shared)
        {
            op.Run = &LaneMath.Move<ulong>;
            return;
        }

        op.B = Constant(parts.Contains("to") ? -(long)DeviceHeap.SharedWindow : (long)DeviceHeap.SharedWindow, 8);
        op.Run = &LaneMath.Binary<ulong, Add<ulong>>;
    }

    private void DecodeConversion(PtxOp op, string[] parts)
    {
        PtxOperand[] operands = _statement.Operands;
        switch (_statement.Opcode)
        {
            case "cvt.rn.bf16x2.f32":
                op.D = Register(0, 4);
                op.A = Register(1, 4);
                op.B = Register(2, 4);
                op.Run = &Conversions.ToBFloat16Pair;
                return;
            case "cvt.rn.bf16.f32":
                op.D = Register(0, 4);
                op.A = Register(1, 4);
                op.Run = &LaneMath.UnaryScalar<float, uint, Conversions.BFloat16Bits>;
                return;
            case "cvt.rna.tf32.f32":
                op.D = Register(0, 4);
                op.A = Register(1, 4);
                op.Run = &LaneMath.UnaryScalar<float, uint, Conversions.Tf32Bits>;
                return;
            case "cvt.s64.s32" when Bits(operands[1]) != 64:
                op.D = Register(0, 8);
                op.A = Register(1, 4);
                op.Run = &LaneMath.UnaryScalar<int, long, SignExtend>;
                return;
            case "cvt.u64.u32" when Bits(operands[1]) != 64:
                op.D = Register(0, 8);
                op.A = Register(1, 4);
                op.Run = &LaneMath.UnaryScalar<uint, ulong, ZeroExtend>;
                return;
            case "cvt.u32.u64":
                op.D = Register(0, 4);
                op.A = Register(1, 8);
                op.Run = &LaneMath.UnaryScalar<ulong, uint, Truncate>;
                return;
        }

        (int toKind, int toBits) = TypeOf(parts[^2]);
        (int fromKind, int fromBits) = TypeOf(parts[^1]);
        string rounding = parts.FirstOrDefault(p => p is "rn" or "rz" or "rm" or "rp" or "rni" or "rzi" or "rmi" or "rpi") ?? "rn";
        op.Size = Bits(operands[0]) / 8;
        op.D = Place(operands[0], op.Size == 8 ? 8 : 4);
        op.WideAddress = Bits(operands[1]) == 64 && operands[1].Kind == OperandKind.Register;
        op.A = Place(operands[1], op.WideAddress ? 8 : 4);
        op.Vector = [fromKind, fromBits, toKind, toBits];
        op.Immediate = rounding[1] switch { 'z' => Conversions.Zero, 'm' => Conversions.Down, 'p' => Conversions.Up, _ => Conversions.NearestEven };
        op.P = rounding.Length == 3 ? 1 : -1;
        op.Count = parts.Contains("sat") ? 2 : 1;
        op.Run = &Conversions.Convert;
    }

    private (int Kind, int Bits) TypeOf(string type) =>
        (type[0] switch { 'u' or 'b' => 0, 's' => 1, 'f' when type is "f32" or "f64" => 2, _ => throw Unknown("the type") },
            int.Parse(type.AsSpan(1), CultureInfo.InvariantCulture));

    private void DecodeComparison(PtxOp op, string[] parts)
    {
        // setp.cmp[.bool].type p[|q], a, b[, [!]c]
        PtxOperand[] operands = _statement.Operands;
        string type = parts[^1];
        int size = TypeSize(type) == 8 ? 8 : 4;
        bool combined = parts.Length > 3 && parts[2] is "and" or "or" or "xor";
        int at = operands.Length - (combined ? 3 : 2);
        op.D = Predicate(operands[0]);
        op.C = at == 2 ? Predicate(operands[1]) : -1;
        op.A = Register(at, size);
        op.B = Register(at + 1, size);
        if (combined)
        {
            op.P = Predicate(operands[^1]);
            op.PNegated = operands[^1].Negated;
            op.Immediate = parts[2] switch { "and" => 0, "or" => 1, _ => 2 };
        }

        // A sign in 16 bits would need an extension; clang compares 16-bit values for equality or as unsigned ones.
        op.Run = type switch
        {
            "s32" => Comparison<int>(parts[1]),
            "u32" or "b32" or "u16" or "b16" => Comparison<uint>(parts[1]),
            "s64" => Comparison<long>(parts[1]),
            "u64" or "b64" => Comparison<ulong>(parts[1]),
            "f32" => FloatComparison<float>(parts[1]),
            "f64" => FloatComparison<double>(parts[1]),
            _ => throw Unknown("the type"),
        };
    }

    private delegate*<Warp, PtxOp, void> Comparison<T>(string comparison)
        where T : unmanaged => comparison switch
        {
            "eq" => &LaneMath.Compare<T, Equal<T>>,
            "ne" => &LaneMath.Compare<T, NotEqual<T>>,
            "lt" or "lo" => &LaneMath.Compare<T, Less<T>>,
            "le" or "ls" => &LaneMath.Compare<T, LessOrEqual<T>>,
            "gt" or "hi" => &LaneMath.Compare<T, Greater<T>>,
            "ge" or "hs" => &LaneMath.Compare<T, GreaterOrEqual<T>>,
            _ => throw Unknown("the comparison"),
        };

    private delegate*<Warp, PtxOp, void> FloatComparison<T>(string comparison)
        where T : unmanaged => comparison switch
        {
            "ne" => &LaneMath.Compare<T, OrderedNotEqual<T>>,
            "neu" => &LaneMath.Compare<T, NotEqual<T>>,
            "equ" => &LaneMath.Compare<T, UnorderedEqual<T>>,
            "ltu" => &LaneMath.Compare<T, Unordered<T, GreaterOrEqual<T>>>,
            "leu" => &LaneMath.Compare<T, Unordered<T, Greater<T>>>,
            "gtu" => &LaneMath.Compare<T, Unordered<T, LessOrEqual<T>>>,
            "geu" => &LaneMath.Compare<T, Unordered<T, Less<T>>>,
            "num" => &LaneMath.Compare<T, BothNumbers<T>>,
            "nan" => &LaneMath.Compare<T, EitherNaN<T>>,
            _ => Comparison<T>(comparison),
        };

    private void DecodeArithmetic(PtxOp op, string[] parts)
    {
        string name = parts[0];
        string type = parts[^1];
        PtxOperand[] operands = _statement.Operands;
        if (type == "pred")
        {
            op.Class = InstructionClass.Integer;
            op.D = Predicate(operands[0]);
            op.A = Predicate(operands[1]);
            op.PNegated = operands[1].Negated;
            op.B = operands.Length > 2 ? Predicate(operands[2]) : -1;
            op.Immediate = name switch { "and" => 0, "or" => 1, "xor" => 2, "not" => 3, _ => throw Unknown("the instruction") };
            op.Run = &LaneMath.Predicates;
            return;
        }

        bool isWide = parts.Contains("wide");
        int size = TypeSize(type) == 8 ? 8 : 4;
        bool isCount = name is "shl" or "shr";
        bool narrowResult = name is "popc" or "clz";
        int product = isWide && type is not ("s16" or "u16") ? 8 : size;
        op.D = Register(0, narrowResult ? 4 : product);
        op.A = Register(1, size);
        op.B = operands.Length > 2 ? Register(2, isCount || name == "bfe" ? 4 : size) : -1;
        op.C = operands.Length > 3 ? Register(3, product) : -1;
        op.Class = type[0] == 'f' ? InstructionClass.Float : InstructionClass.Integer;
        bool special = name is "ex2" or "lg2" or "rsqrt" or "sqrt" or "rcp" or "tanh" or "div" && type[0] == 'f';
        if (special)
        {
            op.Class = InstructionClass.Special;
            op.Immediate = parts.Contains("ftz") ? 1 : 0;
        }

        // Rounding to nearest and multiplying low halves are what the plain names mean.
        string form = string.Join('.', parts.Where(p => !(p is "rn" or "lo" or "full") && !(special && p == "ftz")));
        op.Run = isWide ? Widening(form)
            : type[0] == 'f' ? FloatBody(form)
            : size == 8 ? WideBody(form)
            : type is "s16" or "u16" or "b16" ? HalfBody(form)
            : WordBody(form);
    }

    private delegate*<Warp, PtxOp, void> Widening(string form) => form switch
    {
        "mul.wide.s32" or "mad.wide.s32" => &LaneMath.MultiplyWide<int>,
        "mul.wide.u32" or "mad.wide.u32" => &LaneMath.MultiplyWide<uint>,
        "mul.wide.s16" => &LaneMath.BinaryScalar<uint, MultiplyHalfSigned>,
        "mul.wide.u16" => &LaneMath.BinaryScalar<uint, MultiplyHalfUnsigned>,
        _ => throw Unknown("the instruction"),
    };

    private delegate*<Warp, PtxOp, void> FloatBody(string form) => form switch
    {
        "add.f32" => &LaneMath.Binary<float, Add<float>>,
        "sub.f32" => &LaneMath.Binary<float, Subtract<float>>,
        "mul.f32" => &LaneMath.Binary<float, Multiply<float>>,
        "fma.f32" => &LaneMath.Ternary<float, FusedSingle>,
        "min.f32" => &LaneMath.Binary<float, Minimum<float>>,
        "max.f32" => &LaneMath.Binary<float, Maximum<float>>,
        "min.NaN.f32" => &LaneMath.Binary<float, MinimumNaN>,
        "max.NaN.f32" => &LaneMath.Binary<float, MaximumNaN>,
        "neg.f32" => &LaneMath.Unary<float, Negate<float>>,
        "abs.f32" => &LaneMath.Unary<float, Absolute<float>>,
        "div.f32" => &LaneMath.BinaryScalar<float, Divide<float>>,
        "div.approx.f32" => &SpecialFunctions.DivideApprox,
        "sqrt.f32" => &LaneMath.UnaryScalar<float, float, SpecialFunctions.SqrtExact>,
        "sqrt.approx.f32" => &LaneMath.UnaryScalar<float, float, SpecialFunctions.SqrtApprox>,
        "rsqrt.approx.f32" => &LaneMath.UnaryScalar<float, float, SpecialFunctions.Rsqrt>,
        "rcp.f32" => &LaneMath.UnaryScalar<float, float, SpecialFunctions.RcpExact>,
        "rcp.approx.f32" => &LaneMath.UnaryScalar<float, float, SpecialFunctions.RcpApprox>,
        "ex2.approx.f32" => &LaneMath.UnaryScalar<float, float, SpecialFunctions.Ex2>,
        "lg2.approx.f32" => &LaneMath.UnaryScalar<float, float, SpecialFunctions.Lg2>,
        "tanh.approx.f32" => &LaneMath.UnaryScalar<float, float, SpecialFunctions.TanhApprox>,
        "add.f64" => &LaneMath.Binary<double, Add<double>>,
        "sub.f64" => &LaneMath.Binary<double, Subtract<double>>,
        "mul.f64" => &LaneMath.Binary<double, Multiply<double>>,
        "fma.f64" => &LaneMath.Ternary<double, FusedDouble>,
        "min.f64" => &LaneMath.Binary<double, Minimum<double>>,
        "max.f64" => &LaneMath.Binary<double, Maximum<double>>,
        "neg.f64" => &LaneMath.Unary<double, Negate<double>>,
        "abs.f64" => &LaneMath.Unary<double, Absolute<double>>,
        "div.f64" => &LaneMath.BinaryScalar<double, Divide<double>>,
        "sqrt.f64" => &LaneMath.UnaryScalar<double, double, SpecialFunctions.SqrtDouble>,
        "rcp.f64" => &LaneMath.UnaryScalar<double, double, SpecialFunctions.RcpDouble>,
        _ => throw Unknown("the instruction"),
    };

    private delegate*<Warp, PtxOp, void> WordBody(string form) => form switch
    {
        "add.s32" or "add.u32" => &LaneMath.Binary<uint, Add<uint>>,
        "sub.s32" or "sub.u32" => &LaneMath.Binary<uint, Subtract<uint>>,
        "mul.s32" or "mul.u32" => &LaneMath.Binary<uint, Multiply<uint>>,
        "mul.hi.u32" => &LaneMath.BinaryScalar<uint, MultiplyHighUnsigned>,
        "mul.hi.s32" => &LaneMath.BinaryScalar<int, MultiplyHigh<int>>,
        "mad.s32" or "mad.u32" => &LaneMath.Ternary<uint, MultiplyAdd<uint>>,
        "mad.hi.u32" => &LaneMath.TernaryScalar<uint, MultiplyHighAdd<uint>>,
        "mad.hi.s32" => &LaneMath.TernaryScalar<int, MultiplyHighAdd<int>>,
        "div.s32" => &LaneMath.BinaryScalar<int, Divide<int>>,
        "div.u32" => &LaneMath.BinaryScalar<uint, Divide<uint>>,
        "rem.s32" => &LaneMath.BinaryScalar<int, Remainder<int>>,
        "rem.u32" => &LaneMath.BinaryScalar<uint, Remainder<uint>>,
        "min.s32" => &LaneMath.Binary<int, Minimum<int>>,
        "min.u32" => &LaneMath.Binary<uint, Minimum<uint>>,
        "max.s32" => &LaneMath.Binary<int, Maximum<int>>,
        "max.u32" => &LaneMath.Binary<uint, Maximum<uint>>,
        "neg.s32" => &LaneMath.Unary<int, Negate<int>>,
        "abs.s32" => &LaneMath.Unary<int, Absolute<int>>,
        "not.b32" => &LaneMath.Unary<uint, Not<uint>>,
        "and.b32" => &LaneMath.Binary<uint, And<uint>>,
        "or.b32" => &LaneMath.Binary<uint, Or<uint>>,
        "xor.b32" => &LaneMath.Binary<uint, Xor<uint>>,
        "shl.b32" => &LaneMath.Binary<uint, ShiftLeft32>,
        "shr.u32" or "shr.b32" => &LaneMath.Binary<uint, ShiftRight32>,
        "shr.s32" => &LaneMath.Binary<uint, ShiftRightSigned32>,
        "bfe.u32" => &LaneMath.TernaryScalar<uint, BitFieldExtract>,
        "bfe.s32" => &LaneMath.TernaryScalar<uint, BitFieldExtractSigned>,
        "prmt.b32" => &LaneMath.TernaryScalar<uint, Permute>,
        "shf.l.wrap.b32" => &LaneMath.TernaryScalar<uint, FunnelLeft>,
        "shf.r.wrap.b32" => &LaneMath.TernaryScalar<uint, FunnelRight>,
        "popc.b32" => &LaneMath.UnaryScalar<uint, uint, CountOnes>,
        "clz.b32" => &LaneMath.UnaryScalar<uint, uint, CountLeadingZeros>,
        "brev.b32" => &LaneMath.UnaryScalar<uint, uint, ReverseBits>,
        _ => throw Unknown("the instruction"),
    };

    private delegate*<Warp, PtxOp, void> WideBody(string form) => form switch
    {
        "add.s64" or "add.u64" => &LaneMath.Binary<ulong, Add<ulong>>,
        "sub.s64" or "sub.u64" => &LaneMath.Binary<ulong, Subtract<ulong>>,
        "mul.s64" or "mul.u64" => &LaneMath.Binary<ulong, Multiply<ulong>>,
        "mul.hi.u64" => &LaneMath.BinaryScalar<ulong, MultiplyHigh<ulong>>,
        "mul.hi.s64" => &LaneMath.BinaryScalar<long, MultiplyHigh<long>>,
        "mad.s64" or "mad.u64" => &LaneMath.Ternary<ulong, MultiplyAdd<ulong>>,
        "div.s64" => &LaneMath.BinaryScalar<long, Divide<long>>,
        "div.u64" => &LaneMath.BinaryScalar<ulong, Divide<ulong>>,
        "rem.s64" => &LaneMath.BinaryScalar<long, Remainder<long>>,
        "rem.u64" => &LaneMath.BinaryScalar<ulong, Remainder<ulong>>,
        "min.s64" => &LaneMath.Binary<long, Minimum<long>>,
        "min.u64" => &LaneMath.Binary<ulong, Minimum<ulong>>,
        "max.s64" => &LaneMath.Binary<long, Maximum<long>>,
        "max.u64" => &LaneMath.Binary<ulong, Maximum<ulong>>,
        "neg.s64" => &LaneMath.Unary<long, Negate<long>>,
        "abs.s64" => &LaneMath.Unary<long, Absolute<long>>,
        "not.b64" => &LaneMath.Unary<ulong, Not<ulong>>,
        "and.b64" => &LaneMath.Binary<ulong, And<ulong>>,
        "or.b64" => &LaneMath.Binary<ulong, Or<ulong>>,
        "xor.b64" => &LaneMath.Binary<ulong, Xor<ulong>>,
        "shl.b64" => &LaneMath.Shift64<ShiftLeft64>,
        "shr.u64" or "shr.b64" => &LaneMath.Shift64<ShiftRight64>,
        "shr.s64" => &LaneMath.Shift64<ShiftRightSigned64>,
        "popc.b64" => &LaneMath.UnaryScalar<ulong, uint, CountOnes64>,
        "clz.b64" => &LaneMath.UnaryScalar<ulong, uint, CountLeadingZeros64>,
        _ => throw Unknown("the instruction"),
    };

    // 16-bit registers keep their upper half zero: what could set it is masked.
    private delegate*<Warp, PtxOp, void> HalfBody(string form) => form switch
    {
        "and.b16" => &LaneMath.Binary<uint, And<uint>>,
        "or.b16" => &LaneMath.Binary<uint, Or<uint>>,
        "xor.b16" => &LaneMath.Binary<uint, Xor<uint>>,
        "add.s16" or "add.u16" => &LaneMath.BinaryScalar<uint, Half16<AddHalf>>,
        "sub.s16" or "sub.u16" => &LaneMath.BinaryScalar<uint, Half16<SubtractHalf>>,
        "mul.s16" or "mul.u16" => &LaneMath.BinaryScalar<uint, Half16<MultiplyHalf>>,
        "shl.b16" => &LaneMath.BinaryScalar<uint, Half16<ShiftLeftHalf>>,
        "shr.u16" or "shr.b16" => &LaneMath.BinaryScalar<uint, Half16<ShiftRightHalf>>,
        "mul.hi.u16" => &LaneMath.BinaryScalar<uint, MultiplyHighHalf>,
        "shr.s16" => &LaneMath.BinaryScalar<uint, Half16<ShiftRightSignedHalf>>,
        "not.b16" => &LaneMath.UnaryScalar<uint, uint, NotHalf>,
        _ => throw Unknown("the instruction"),
    };

    private static int TypeSize(string type) => type == "pred" ? 1 : int.Parse(type.AsSpan(1), CultureInfo.InvariantCulture) / 8;
}
