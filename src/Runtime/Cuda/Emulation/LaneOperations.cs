using System.Numerics;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace CrossAlign.Runtime.Cuda.Emulation;

internal readonly struct Add<T> : IBinaryLanes<T>
{
    public static Vector256<T> Apply(Vector256<T> a, Vector256<T> b) => a + b;
}

internal readonly struct Subtract<T> : IBinaryLanes<T>
{
    public static Vector256<T> Apply(Vector256<T> a, Vector256<T> b) => a - b;
}

internal readonly struct Multiply<T> : IBinaryLanes<T>
{
    public static Vector256<T> Apply(Vector256<T> a, Vector256<T> b) => a * b;
}

internal readonly struct MultiplyAdd<T> : ITernaryLanes<T>
{
    public static Vector256<T> Apply(Vector256<T> a, Vector256<T> b, Vector256<T> c) => (a * b) + c;
}

internal readonly struct FusedSingle : ITernaryLanes<float>
{
    public static Vector256<float> Apply(Vector256<float> a, Vector256<float> b, Vector256<float> c) => Vector256.FusedMultiplyAdd(a, b, c);
}

internal readonly struct FusedDouble : ITernaryLanes<double>
{
    public static Vector256<double> Apply(Vector256<double> a, Vector256<double> b, Vector256<double> c) => Vector256.FusedMultiplyAdd(a, b, c);
}

internal readonly struct Minimum<T> : IBinaryLanes<T>
{
    public static Vector256<T> Apply(Vector256<T> a, Vector256<T> b) => Vector256.MinNumber(a, b);
}

internal readonly struct Maximum<T> : IBinaryLanes<T>
{
    public static Vector256<T> Apply(Vector256<T> a, Vector256<T> b) => Vector256.MaxNumber(a, b);
}

internal readonly struct MinimumNaN : IBinaryLanes<float>
{
    public static Vector256<float> Apply(Vector256<float> a, Vector256<float> b) => Vector256.Min(a, b);
}

internal readonly struct MaximumNaN : IBinaryLanes<float>
{
    public static Vector256<float> Apply(Vector256<float> a, Vector256<float> b) => Vector256.Max(a, b);
}

internal readonly struct Negate<T> : IUnaryLanes<T>
{
    public static Vector256<T> Apply(Vector256<T> a) => -a;
}

internal readonly struct Absolute<T> : IUnaryLanes<T>
{
    public static Vector256<T> Apply(Vector256<T> a) => Vector256.Abs(a);
}

internal readonly struct Not<T> : IUnaryLanes<T>
{
    public static Vector256<T> Apply(Vector256<T> a) => ~a;
}

internal readonly struct And<T> : IBinaryLanes<T>
{
    public static Vector256<T> Apply(Vector256<T> a, Vector256<T> b) => a & b;
}

internal readonly struct Or<T> : IBinaryLanes<T>
{
    public static Vector256<T> Apply(Vector256<T> a, Vector256<T> b) => a | b;
}

internal readonly struct Xor<T> : IBinaryLanes<T>
{
    public static Vector256<T> Apply(Vector256<T> a, Vector256<T> b) => a ^ b;
}

/// <summary>shl.b32: counts of 32 and more give 0.</summary>
internal readonly struct ShiftLeft32 : IBinaryLanes<uint>
{
    public static Vector256<uint> Apply(Vector256<uint> a, Vector256<uint> b) => Avx2.IsSupported
        ? Avx2.ShiftLeftLogicalVariable(a, b)
        : PerLane.Map(a, b, static (x, n) => n > 31 ? 0 : x << (int)n);
}

/// <summary>shr.u32: counts of 32 and more give 0.</summary>
internal readonly struct ShiftRight32 : IBinaryLanes<uint>
{
    public static Vector256<uint> Apply(Vector256<uint> a, Vector256<uint> b) => Avx2.IsSupported
        ? Avx2.ShiftRightLogicalVariable(a, b)
        : PerLane.Map(a, b, static (x, n) => n > 31 ? 0 : x >> (int)n);
}

/// <summary>shr.s32: counts of 32 and more fill with the sign.</summary>
internal readonly struct ShiftRightSigned32 : IBinaryLanes<uint>
{
    public static Vector256<uint> Apply(Vector256<uint> a, Vector256<uint> b) => Avx2.IsSupported
        ? Avx2.ShiftRightArithmeticVariable(a.AsInt32(), b).AsUInt32()
        : PerLane.Map(a, b, static (x, n) => (uint)((int)x >> (int)Math.Min(n, 31)));
}

/// <summary>Vectors without an instruction of their own.</summary>
internal static class PerLane
{
    public static Vector256<uint> Map(Vector256<uint> a, Vector256<uint> b, Func<uint, uint, uint> f)
    {
        Vector256<uint> result = a;
        for (int i = 0; i < Vector256<uint>.Count; i++)
        {
            result = result.WithElement(i, f(a.GetElement(i), b.GetElement(i)));
        }

        return result;
    }
}

internal readonly struct Equal<T> : IBinaryLanes<T>
{
    public static Vector256<T> Apply(Vector256<T> a, Vector256<T> b) => Vector256.Equals(a, b);
}

internal readonly struct Less<T> : IBinaryLanes<T>
{
    public static Vector256<T> Apply(Vector256<T> a, Vector256<T> b) => Vector256.LessThan(a, b);
}

internal readonly struct LessOrEqual<T> : IBinaryLanes<T>
{
    public static Vector256<T> Apply(Vector256<T> a, Vector256<T> b) => Vector256.LessThanOrEqual(a, b);
}

internal readonly struct Greater<T> : IBinaryLanes<T>
{
    public static Vector256<T> Apply(Vector256<T> a, Vector256<T> b) => Vector256.GreaterThan(a, b);
}

internal readonly struct GreaterOrEqual<T> : IBinaryLanes<T>
{
    public static Vector256<T> Apply(Vector256<T> a, Vector256<T> b) => Vector256.GreaterThanOrEqual(a, b);
}

/// <summary>ne of integers, and neu of floats: true where one is NaN.</summary>
internal readonly struct NotEqual<T> : IBinaryLanes<T>
{
    public static Vector256<T> Apply(Vector256<T> a, Vector256<T> b) => ~Vector256.Equals(a, b);
}

/// <summary>ne of floats: false where one is NaN.</summary>
internal readonly struct OrderedNotEqual<T> : IBinaryLanes<T>
{
    public static Vector256<T> Apply(Vector256<T> a, Vector256<T> b) => Vector256.LessThan(a, b) | Vector256.GreaterThan(a, b);
}

/// <summary>equ: true where one is NaN.</summary>
internal readonly struct UnorderedEqual<T> : IBinaryLanes<T>
{
    public static Vector256<T> Apply(Vector256<T> a, Vector256<T> b) => ~(Vector256.LessThan(a, b) | Vector256.GreaterThan(a, b));
}

/// <summary>The unordered comparison: the opposite of the ordered opposite.</summary>
internal readonly struct Unordered<T, TOpposite> : IBinaryLanes<T>
    where TOpposite : IBinaryLanes<T>
{
    public static Vector256<T> Apply(Vector256<T> a, Vector256<T> b) => ~TOpposite.Apply(a, b);
}

internal readonly struct BothNumbers<T> : IBinaryLanes<T>
{
    public static Vector256<T> Apply(Vector256<T> a, Vector256<T> b) => Vector256.Equals(a, a) & Vector256.Equals(b, b);
}

internal readonly struct EitherNaN<T> : IBinaryLanes<T>
{
    public static Vector256<T> Apply(Vector256<T> a, Vector256<T> b) => ~(Vector256.Equals(a, a) & Vector256.Equals(b, b));
}

internal readonly struct ShiftLeft64 : IBinaryLane64
{
    public static ulong Apply(ulong a, uint n) => n > 63 ? 0 : a << (int)n;
}

internal readonly struct ShiftRight64 : IBinaryLane64
{
    public static ulong Apply(ulong a, uint n) => n > 63 ? 0 : a >> (int)n;
}

internal readonly struct ShiftRightSigned64 : IBinaryLane64
{
    public static ulong Apply(ulong a, uint n) => (ulong)((long)a >> (int)Math.Min(n, 63));
}

/// <summary>A 64-bit value and a 32-bit count.</summary>
internal interface IBinaryLane64
{
    static abstract ulong Apply(ulong a, uint n);
}

internal readonly struct Divide<T> : IBinaryLane<T>
    where T : IDivisionOperators<T, T, T>, INumberBase<T>
{
    // The result of a division by zero is unspecified; the hardware gives all ones.
    public static T Apply(T a, T b) => typeof(T) != typeof(float) && typeof(T) != typeof(double) && T.IsZero(b) ? T.Zero - T.One
        : typeof(T) == typeof(int) && b == -T.One ? T.Zero - a
        : typeof(T) == typeof(long) && b == -T.One ? T.Zero - a
        : a / b;
}

internal readonly struct Remainder<T> : IBinaryLane<T>
    where T : IModulusOperators<T, T, T>, INumberBase<T>
{
    public static T Apply(T a, T b) => T.IsZero(b) ? a
        : (typeof(T) == typeof(int) || typeof(T) == typeof(long)) && b == -T.One ? T.Zero
        : a % b;
}

internal readonly struct MultiplyHigh<T> : IBinaryLane<T>
{
    public static T Apply(T a, T b) => (a, b) switch
    {
        (int x, int y) => (T)(object)(int)(((long)x * y) >> 32),
        (uint x, uint y) => (T)(object)(uint)(((ulong)x * y) >> 32),
        (long x, long y) => (T)(object)Math.BigMul(x, y, out _),
        (ulong x, ulong y) => (T)(object)Math.BigMul(x, y, out _),
        _ => throw new NotSupportedException(),
    };
}

internal readonly struct MultiplyHighUnsigned : IBinaryLane<uint>
{
    public static uint Apply(uint a, uint b) => (uint)(((ulong)a * b) >> 32);
}

/// <summary>mad.hi.u32 and mad.hi.s32.</summary>
internal readonly struct MultiplyHighAdd<T> : ITernaryLane<T>
    where T : IAdditionOperators<T, T, T>
{
    public static T Apply(T a, T b, T c) => MultiplyHigh<T>.Apply(a, b) + c;
}

/// <summary>bfe.u32: c bits of a from bit b on.</summary>
internal readonly struct BitFieldExtract : ITernaryLane<uint>
{
    public static uint Apply(uint a, uint b, uint c)
    {
        int position = (int)(b & 0xFF);
        int length = (int)(c & 0xFF);
        ulong shifted = position > 31 ? 0 : a >> position;
        return length > 31 ? (uint)shifted : (uint)(shifted & ((1UL << length) - 1));
    }
}

/// <summary>bfe.s32: the same with the sign of the field's topmost bit.</summary>
internal readonly struct BitFieldExtractSigned : ITernaryLane<uint>
{
    public static uint Apply(uint a, uint b, uint c)
    {
        int position = (int)(b & 0xFF);
        int length = (int)(c & 0xFF);
        if (length == 0)
        {
            return 0;
        }

        uint sign = (a >> Math.Min(position + length - 1, 31)) & 1;
        uint field = BitFieldExtract.Apply(a, b, c);
        int kept = Math.Min(length, Math.Max(0, 32 - position));
        return sign != 0 && kept < 32 ? field | (uint.MaxValue << kept) : field;
    }
}

/// <summary>prmt: four bytes of the eight of a and b, chosen by the nibbles of c.</summary>
internal readonly struct Permute : ITernaryLane<uint>
{
    public static uint Apply(uint a, uint b, uint c)
    {
        ulong bytes = a | ((ulong)b << 32);
        uint result = 0;
        for (int i = 0; i < 4; i++)
        {
            uint selector = (c >> (4 * i)) & 0xF;
            uint value = (uint)(bytes >> (int)(8 * (selector & 7))) & 0xFF;
            value = (selector & 8) != 0 ? (value & 0x80) != 0 ? 0xFFu : 0 : value;
            result |= value << (8 * i);
        }

        return result;
    }
}

/// <summary>shf.l.wrap: the high word of the 64-bit value (b, a) shifted left by c modulo 32.</summary>
internal readonly struct FunnelLeft : ITernaryLane<uint>
{
    public static uint Apply(uint a, uint b, uint c) => (uint)(((((ulong)b << 32) | a) << (int)(c & 31)) >> 32);
}

/// <summary>shf.r.wrap: the low word of the 64-bit value (b, a) shifted right by c modulo 32.</summary>
internal readonly struct FunnelRight : ITernaryLane<uint>
{
    public static uint Apply(uint a, uint b, uint c) => (uint)((((ulong)b << 32) | a) >> (int)(c & 31));
}

internal readonly struct SignExtend : IUnaryLane<int, long>
{
    public static long Apply(int a, PtxOp op, Warp warp) => a;
}

internal readonly struct ZeroExtend : IUnaryLane<uint, ulong>
{
    public static ulong Apply(uint a, PtxOp op, Warp warp) => a;
}

internal readonly struct Truncate : IUnaryLane<ulong, uint>
{
    public static uint Apply(ulong a, PtxOp op, Warp warp) => (uint)a;
}

internal readonly struct CountOnes : IUnaryLane<uint, uint>
{
    public static uint Apply(uint a, PtxOp op, Warp warp) => (uint)BitOperations.PopCount(a);
}

internal readonly struct CountOnes64 : IUnaryLane<ulong, uint>
{
    public static uint Apply(ulong a, PtxOp op, Warp warp) => (uint)BitOperations.PopCount(a);
}

internal readonly struct CountLeadingZeros : IUnaryLane<uint, uint>
{
    public static uint Apply(uint a, PtxOp op, Warp warp) => (uint)BitOperations.LeadingZeroCount(a);
}

internal readonly struct CountLeadingZeros64 : IUnaryLane<ulong, uint>
{
    public static uint Apply(ulong a, PtxOp op, Warp warp) => (uint)BitOperations.LeadingZeroCount(a);
}

internal readonly struct ReverseBits : IUnaryLane<uint, uint>
{
    public static uint Apply(uint a, PtxOp op, Warp warp)
    {
        uint result = 0;
        for (int i = 0; i < 32; i++)
        {
            result |= ((a >> i) & 1) << (31 - i);
        }

        return result;
    }
}
