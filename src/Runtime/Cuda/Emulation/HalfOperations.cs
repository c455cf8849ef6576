namespace CrossAlign.Runtime.Cuda.Emulation;

/// <summary>A 16-bit operation on registers of 32: the result's upper half is zero.</summary>
internal readonly struct Half16<TOp> : IBinaryLane<uint>
    where TOp : IBinaryLane<uint>
{
    public static uint Apply(uint a, uint b) => TOp.Apply(a, b) & 0xFFFF;
}

internal readonly struct AddHalf : IBinaryLane<uint>
{
    public static uint Apply(uint a, uint b) => a + b;
}

internal readonly struct SubtractHalf : IBinaryLane<uint>
{
    public static uint Apply(uint a, uint b) => a - b;
}

internal readonly struct MultiplyHalf : IBinaryLane<uint>
{
    public static uint Apply(uint a, uint b) => a * b;
}

/// <summary>mul.wide.u16: 16-bit factors, a 32-bit product.</summary>
internal readonly struct MultiplyHalfUnsigned : IBinaryLane<uint>
{
    public static uint Apply(uint a, uint b) => (a & 0xFFFF) * (b & 0xFFFF);
}

/// <summary>mul.wide.s16: signed 16-bit factors, a 32-bit product.</summary>
internal readonly struct MultiplyHalfSigned : IBinaryLane<uint>
{
    public static uint Apply(uint a, uint b) => (uint)((short)a * (short)b);
}

/// <summary>mul.hi.u16: the upper half of a 32-bit product.</summary>
internal readonly struct MultiplyHighHalf : IBinaryLane<uint>
{
    public static uint Apply(uint a, uint b) => ((a & 0xFFFF) * (b & 0xFFFF)) >> 16;
}

internal readonly struct ShiftRightSignedHalf : IBinaryLane<uint>
{
    public static uint Apply(uint a, uint b) => (uint)((short)a >> (int)Math.Min(b, 15));
}

internal readonly struct ShiftLeftHalf : IBinaryLane<uint>
{
    public static uint Apply(uint a, uint b) => b > 15 ? 0 : a << (int)b;
}

internal readonly struct ShiftRightHalf : IBinaryLane<uint>
{
    public static uint Apply(uint a, uint b) => b > 15 ? 0 : (a & 0xFFFF) >> (int)b;
}

internal readonly struct NotHalf : IUnaryLane<uint, uint>
{
    public static uint Apply(uint a, PtxOp op, Warp warp) => ~a & 0xFFFF;
}
