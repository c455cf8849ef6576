using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace CrossAlign.Runtime.Cuda.Emulation;

/// <summary>An operation on vectors of lanes with one source.</summary>
internal interface IUnaryLanes<T>
{
    static abstract Vector256<T> Apply(Vector256<T> a);
}

/// <summary>An operation on vectors of lanes with two sources.</summary>
internal interface IBinaryLanes<T>
{
    static abstract Vector256<T> Apply(Vector256<T> a, Vector256<T> b);
}

/// <summary>An operation on vectors of lanes with three sources.</summary>
internal interface ITernaryLanes<T>
{
    static abstract Vector256<T> Apply(Vector256<T> a, Vector256<T> b, Vector256<T> c);
}

/// <summary>An operation on one lane with one source, of whatever types.</summary>
internal interface IUnaryLane<TIn, TOut>
{
    static abstract TOut Apply(TIn a, PtxOp op, Warp warp);
}

/// <summary>An operation on one lane with two sources.</summary>
internal interface IBinaryLane<T>
{
    static abstract T Apply(T a, T b);
}

/// <summary>An operation on one lane with three sources.</summary>
internal interface ITernaryLane<T>
{
    static abstract T Apply(T a, T b, T c);
}

/// <summary>The bodies of elementwise instructions: with all lanes straight into the destination, else through the working space.</summary>
internal static unsafe class LaneMath
{
    public static void Unary<T, TOp>(Warp warp, PtxOp op)
        where T : unmanaged
        where TOp : IUnaryLanes<T>
    {
        T* a = (T*)(warp.R + op.A);
        T* d = Destination<T>(warp, op);
        for (int i = 0; i < Warp.LaneCount; i += Vector256<T>.Count)
        {
            TOp.Apply(Vector256.Load(a + i)).Store(d + i);
        }

        Merge<T>(warp, op);
    }

    public static void Binary<T, TOp>(Warp warp, PtxOp op)
        where T : unmanaged
        where TOp : IBinaryLanes<T>
    {
        T* a = (T*)(warp.R + op.A);
        T* b = (T*)(warp.R + op.B);
        T* d = Destination<T>(warp, op);
        for (int i = 0; i < Warp.LaneCount; i += Vector256<T>.Count)
        {
            TOp.Apply(Vector256.Load(a + i), Vector256.Load(b + i)).Store(d + i);
        }

        Merge<T>(warp, op);
    }

    public static void Ternary<T, TOp>(Warp warp, PtxOp op)
        where T : unmanaged
        where TOp : ITernaryLanes<T>
    {
        T* a = (T*)(warp.R + op.A);
        T* b = (T*)(warp.R + op.B);
        T* c = (T*)(warp.R + op.C);
        T* d = Destination<T>(warp, op);
        for (int i = 0; i < Warp.LaneCount; i += Vector256<T>.Count)
        {
            TOp.Apply(Vector256.Load(a + i), Vector256.Load(b + i), Vector256.Load(c + i)).Store(d + i);
        }

        Merge<T>(warp, op);
    }

    public static void UnaryScalar<TIn, TOut, TOp>(Warp warp, PtxOp op)
        where TIn : unmanaged
        where TOut : unmanaged
        where TOp : IUnaryLane<TIn, TOut>
    {
        TIn* a = (TIn*)(warp.R + op.A);
        TOut* d = (TOut*)(warp.R + op.D);

        // Source and destination may be one register of different widths only in broken PTX; the widths are checked when decoding.
        for (uint m = warp.Exec; m != 0; m &= m - 1)
        {
            int lane = BitOperations.TrailingZeroCount(m);
            d[lane] = TOp.Apply(a[lane], op, warp);
        }
    }

    public static void BinaryScalar<T, TOp>(Warp warp, PtxOp op)
        where T : unmanaged
        where TOp : IBinaryLane<T>
    {
        T* a = (T*)(warp.R + op.A);
        T* b = (T*)(warp.R + op.B);
        T* d = (T*)(warp.R + op.D);
        for (uint m = warp.Exec; m != 0; m &= m - 1)
        {
            int lane = BitOperations.TrailingZeroCount(m);
            d[lane] = TOp.Apply(a[lane], b[lane]);
        }
    }

    public static void TernaryScalar<T, TOp>(Warp warp, PtxOp op)
        where T : unmanaged
        where TOp : ITernaryLane<T>
    {
        T* a = (T*)(warp.R + op.A);
        T* b = (T*)(warp.R + op.B);
        T* c = (T*)(warp.R + op.C);
        T* d = (T*)(warp.R + op.D);
        for (uint m = warp.Exec; m != 0; m &= m - 1)
        {
            int lane = BitOperations.TrailingZeroCount(m);
            d[lane] = TOp.Apply(a[lane], b[lane], c[lane]);
        }
    }

    /// <summary>A 64-bit value shifted by a 32-bit count.</summary>
    public static void Shift64<TOp>(Warp warp, PtxOp op)
        where TOp : IBinaryLane64
    {
        ulong* a = (ulong*)(warp.R + op.A);
        uint* b = (uint*)(warp.R + op.B);
        ulong* d = (ulong*)(warp.R + op.D);
        for (uint m = warp.Exec; m != 0; m &= m - 1)
        {
            int lane = BitOperations.TrailingZeroCount(m);
            d[lane] = TOp.Apply(a[lane], b[lane]);
        }
    }

    /// <summary>Copies a register.</summary>
    public static void Move<T>(Warp warp, PtxOp op)
        where T : unmanaged
    {
        T* a = (T*)(warp.R + op.A);
        T* d = Destination<T>(warp, op);
        new ReadOnlySpan<T>(a, Warp.LaneCount).CopyTo(new Span<T>(d, Warp.LaneCount));
        Merge<T>(warp, op);
    }

    /// <summary>mul.wide and mad.wide: 32-bit factors, a 64-bit product.</summary>
    public static void MultiplyWide<TIn>(Warp warp, PtxOp op)
        where TIn : unmanaged
    {
        long* d = Destination<long>(warp, op);
        if (typeof(TIn) == typeof(int))
        {
            int* a = (int*)(warp.R + op.A);
            int* b = (int*)(warp.R + op.B);
            for (int i = 0; i < Warp.LaneCount; i++)
            {
                d[i] = (long)a[i] * b[i];
            }
        }
        else
        {
            uint* a = (uint*)(warp.R + op.A);
            uint* b = (uint*)(warp.R + op.B);
            for (int i = 0; i < Warp.LaneCount; i++)
            {
                d[i] = (long)((ulong)a[i] * b[i]);
            }
        }

        if (op.C >= 0)
        {
            long* c = (long*)(warp.R + op.C);
            for (int i = 0; i < Warp.LaneCount; i++)
            {
                d[i] += c[i];
            }
        }

        Merge<long>(warp, op);
    }

    /// <summary>setp: compares, and combines with a further predicate where there is one.</summary>
    public static void Compare<T, TCompare>(Warp warp, PtxOp op)
        where T : unmanaged
        where TCompare : IBinaryLanes<T>
    {
        T* a = (T*)(warp.R + op.A);
        T* b = (T*)(warp.R + op.B);
        uint lanes = 0;
        for (int i = 0; i < Warp.LaneCount; i += Vector256<T>.Count)
        {
            lanes |= TCompare.Apply(Vector256.Load(a + i), Vector256.Load(b + i)).ExtractMostSignificantBits() << i;
        }

        uint result = lanes;
        uint other = ~lanes;
        if (op.P >= 0)
        {
            uint p = op.PNegated ? ~warp.P[op.P] : warp.P[op.P];
            result = Combine(lanes, p, op.Immediate);
            other = Combine(~lanes, p, op.Immediate);
        }

        warp.SetPredicate(op.D, result);
        if (op.C >= 0)
        {
            warp.SetPredicate(op.C, other);
        }
    }

    /// <summary>selp: one register or the other, by a predicate.</summary>
    public static void Select<T>(Warp warp, PtxOp op)
        where T : unmanaged
    {
        T* a = (T*)(warp.R + op.A);
        T* b = (T*)(warp.R + op.B);
        T* d = (T*)(warp.R + op.D);
        uint p = op.PNegated ? ~warp.P[op.P] : warp.P[op.P];
        for (uint m = warp.Exec; m != 0; m &= m - 1)
        {
            int lane = BitOperations.TrailingZeroCount(m);
            d[lane] = ((p >> lane) & 1) != 0 ? a[lane] : b[lane];
        }
    }

    /// <summary>and, or, xor, not and mov of predicates; the operation's number is in the immediate.</summary>
    public static void Predicates(Warp warp, PtxOp op)
    {
        uint a = Predicate(warp, op.A, op.PNegated);
        uint b = op.B >= 0 ? warp.P[op.B] : 0;
        warp.SetPredicate(op.D, op.Immediate switch
        {
            3 => ~a,
            4 => a,
            _ => Combine(a, b, op.Immediate),
        });
    }

    /// <summary>mov.b64 of two 32-bit registers, mov.b32 of two 16-bit ones.</summary>
    public static void Pack(Warp warp, PtxOp op)
    {
        for (uint m = warp.Exec; m != 0; m &= m - 1)
        {
            int lane = BitOperations.TrailingZeroCount(m);
            ulong low = ((uint*)(warp.R + op.Vector[0]))[lane];
            ulong high = ((uint*)(warp.R + op.Vector[1]))[lane];
            if (op.Size == 8)
            {
                ((ulong*)(warp.R + op.D))[lane] = low | (high << 32);
            }
            else
            {
                ((uint*)(warp.R + op.D))[lane] = (uint)((low & 0xFFFF) | (high << 16));
            }
        }
    }

    /// <summary>The reverse of <see cref="Pack"/>.</summary>
    public static void Unpack(Warp warp, PtxOp op)
    {
        for (uint m = warp.Exec; m != 0; m &= m - 1)
        {
            int lane = BitOperations.TrailingZeroCount(m);
            ulong value = op.Size == 8 ? ((ulong*)(warp.R + op.A))[lane] : ((uint*)(warp.R + op.A))[lane];
            int shift = op.Size == 8 ? 32 : 16;
            ulong mask = op.Size == 8 ? uint.MaxValue : ushort.MaxValue;
            ((uint*)(warp.R + op.Vector[0]))[lane] = (uint)(value & mask);
            ((uint*)(warp.R + op.Vector[1]))[lane] = (uint)(value >> shift);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static T* Destination<T>(Warp warp, PtxOp op)
        where T : unmanaged => (T*)(warp.Exec == Warp.AllLanes ? warp.R + op.D : warp.Temp);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Merge<T>(Warp warp, PtxOp op)
        where T : unmanaged
    {
        if (warp.Exec == Warp.AllLanes)
        {
            return;
        }

        if (sizeof(T) == 8)
        {
            warp.Merge64(op.D);
        }
        else
        {
            warp.Merge32(op.D);
        }
    }

    private static uint Predicate(Warp warp, int number, bool negated) => negated ? ~warp.P[number] : warp.P[number];

    private static uint Combine(uint a, uint b, long operation) => operation switch
    {
        0 => a & b,
        1 => a | b,
        _ => a ^ b,
    };
}
