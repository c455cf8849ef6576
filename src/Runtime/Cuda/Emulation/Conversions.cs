using System.Numerics;

namespace CrossAlign.Runtime.Cuda.Emulation;

/// <summary>cvt between the integer and floating-point types, with the rounding that the instruction names.</summary>
internal static unsafe class Conversions
{
    public const long NearestEven = 0;
    public const long Zero = 1;
    public const long Down = 2;
    public const long Up = 3;

    /// <summary>Vector: source kind, source bits, destination kind, destination bits (kinds: 0 unsigned, 1 signed, 2 float); Immediate: rounding; Count 2: saturate to [0, 1].</summary>
    public static void Convert(Warp warp, PtxOp op)
    {
        (int fromKind, int fromBits, int toKind, int toBits) = (op.Vector[0], op.Vector[1], op.Vector[2], op.Vector[3]);
        for (uint m = warp.Exec; m != 0; m &= m - 1)
        {
            int lane = BitOperations.TrailingZeroCount(m);
            if (fromKind == 2)
            {
                double value = fromBits == 64 ? ((double*)(warp.R + op.A))[lane] : ((float*)(warp.R + op.A))[lane];
                if (toKind == 2)
                {
                    FromFloatToFloat(warp, op, lane, value, toBits);
                }
                else
                {
                    StoreInteger(warp, op, lane, ToInteger(Round(value, op.Immediate), toKind, toBits), toBits);
                }
            }
            else
            {
                long value = LoadInteger(warp, op, lane, fromKind, fromBits);
                if (toKind == 2)
                {
                    FromIntegerToFloat(warp, op, lane, value, fromKind == 0 && fromBits == 64, toBits);
                }
                else
                {
                    StoreInteger(warp, op, lane, value, toBits);
                }
            }
        }
    }

    /// <summary>cvt.rn.bf16x2.f32: A goes to the high half.</summary>
    public static void ToBFloat16Pair(Warp warp, PtxOp op)
    {
        float* a = (float*)(warp.R + op.A);
        float* b = (float*)(warp.R + op.B);
        uint* d = (uint*)(warp.R + op.D);
        for (uint m = warp.Exec; m != 0; m &= m - 1)
        {
            int lane = BitOperations.TrailingZeroCount(m);
            d[lane] = ((uint)ToBFloat16(a[lane]) << 16) | ToBFloat16(b[lane]);
        }
    }

    public readonly struct BFloat16Bits : IUnaryLane<float, uint>
    {
        public static uint Apply(float a, PtxOp op, Warp warp) => ToBFloat16(a);
    }

    /// <summary>cvt.rna.tf32.f32: to 10 bits of fraction, ties away from zero.</summary>
    public readonly struct Tf32Bits : IUnaryLane<float, uint>
    {
        public static uint Apply(float a, PtxOp op, Warp warp)
        {
            uint bits = BitConverter.SingleToUInt32Bits(a);
            return float.IsFinite(a) ? (bits + 0x1000) & 0xFFFFE000 : bits & 0xFFFFE000;
        }
    }

    // A NaN becomes the canonical NaN, as the ISA says.
    private static ushort ToBFloat16(float value) => float.IsNaN(value) ? (ushort)0x7FFF : BFloat16.FromSingle(value).Bits;

    private static double Round(double value, long rounding) => rounding switch
    {
        NearestEven => Math.Round(value, MidpointRounding.ToEven),
        Zero => Math.Truncate(value),
        Down => Math.Floor(value),
        _ => Math.Ceiling(value),
    };

    private static long ToInteger(double value, int kind, int bits)
    {
        // Out of range: clamped; NaN gives 0.
        if (double.IsNaN(value))
        {
            return 0;
        }

        if (kind == 0)
        {
            double max = bits == 64 ? ulong.MaxValue : (double)((1UL << bits) - 1);
            return value <= 0 ? 0 : value >= max ? unchecked((long)(bits == 64 ? ulong.MaxValue : (1UL << bits) - 1)) : (long)(ulong)value;
        }

        double top = Math.ScaleB(1, bits - 1);
        return value >= top ? bits == 64 ? long.MaxValue : (1L << (bits - 1)) - 1 : value < -top ? -(1L << (bits - 1)) : (long)value;
    }

    private static long LoadInteger(Warp warp, PtxOp op, int lane, int kind, int bits) => (kind, bits) switch
    {
        (_, 64) => ((long*)(warp.R + op.A))[lane],
        (0, 32) => LoadWord(warp, op, lane),
        (1, 32) => (int)LoadWord(warp, op, lane),
        (0, 16) => (ushort)LoadWord(warp, op, lane),
        (1, 16) => (short)LoadWord(warp, op, lane),
        (0, _) => (byte)LoadWord(warp, op, lane),
        _ => (sbyte)LoadWord(warp, op, lane),
    };

    // A narrow source may sit in a wide register.
    private static uint LoadWord(Warp warp, PtxOp op, int lane) =>
        op.WideAddress ? (uint)((ulong*)(warp.R + op.A))[lane] : ((uint*)(warp.R + op.A))[lane];

    private static void StoreInteger(Warp warp, PtxOp op, int lane, long value, int bits)
    {
        // The register may be wider than the type: then the value is extended by the type's sign.
        long extended = (op.Vector[2], bits) switch
        {
            (0, 8) => (byte)value,
            (1, 8) => (sbyte)value,
            (0, 16) => (ushort)value,
            (1, 16) => (short)value,
            (0, 32) => (uint)value,
            (1, 32) => (int)value,
            _ => value,
        };
        if (op.Size == 8)
        {
            ((long*)(warp.R + op.D))[lane] = extended;
        }
        else
        {
            ((uint*)(warp.R + op.D))[lane] = op.Size == 2 ? (ushort)extended : (uint)extended;
        }
    }

    private static void FromIntegerToFloat(Warp warp, PtxOp op, int lane, long value, bool isWideUnsigned, int bits)
    {
        if (bits == 64)
        {
            ((double*)(warp.R + op.D))[lane] = isWideUnsigned ? (ulong)value : value;
            return;
        }

        // The nearest first; another rounding moves by one step where it must.
        float nearest = isWideUnsigned ? (ulong)value : value;
        Int128 exact = isWideUnsigned ? (ulong)value : value;
        Int128 got = (Int128)nearest;
        ((float*)(warp.R + op.D))[lane] = op.Immediate switch
        {
            Zero => Int128.Abs(got) > Int128.Abs(exact) ? exact > 0 ? MathF.BitDecrement(nearest) : MathF.BitIncrement(nearest) : nearest,
            Down => got > exact ? MathF.BitDecrement(nearest) : nearest,
            Up => got < exact ? MathF.BitIncrement(nearest) : nearest,
            _ => nearest,
        };
    }

    // Between floats the rounding is one to whole numbers where the widths are equal, else one to the narrower format.
    private static void FromFloatToFloat(Warp warp, PtxOp op, int lane, double value, int bits)
    {
        bool toWhole = op.P == 1;
        double result = toWhole ? Round(value, op.Immediate) : value;
        if (op.Count == 2)
        {
            result = double.IsNaN(result) ? 0 : Math.Clamp(result, 0, 1);
        }

        if (bits == 64)
        {
            ((double*)(warp.R + op.D))[lane] = result;
            return;
        }

        float nearest = (float)result;
        if (!toWhole && nearest != result && float.IsFinite(nearest))
        {
            bool away = Math.Abs(nearest) > Math.Abs(result);
            nearest = op.Immediate switch
            {
                Zero => away ? nearest > 0 ? MathF.BitDecrement(nearest) : MathF.BitIncrement(nearest) : nearest,
                Down => nearest > result ? MathF.BitDecrement(nearest) : nearest,
                Up => nearest < result ? MathF.BitIncrement(nearest) : nearest,
                _ => nearest,
            };
        }

        ((float*)(warp.R + op.D))[lane] = nearest;
    }
}
