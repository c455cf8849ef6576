using System.Runtime.CompilerServices;
using CrossAlign.Runtime;

namespace CrossAlign.Kernels.Cpu.Simd;

/// <summary>One lane, for processors without vectors.</summary>
internal readonly unsafe struct FloatScalar(float value) : ISimdFloat<FloatScalar>
{
    private readonly float _value = value;

    public static int Count => 1;

    public static FloatScalar Zero => new(0f);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static FloatScalar Broadcast(float value) => new(value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static FloatScalar Load(float* source) => new(*source);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static FloatScalar LoadPartial(float* source, int count) => new(*source);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(FloatScalar value, float* destination) => *destination = value._value;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void StorePartial(FloatScalar value, float* destination, int count) => *destination = value._value;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static FloatScalar LoadBFloat16(ushort* source) => new(new BFloat16(*source).ToSingle());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void StoreBFloat16(FloatScalar value, ushort* destination) => *destination = BFloat16.FromSingle(value._value).Bits;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static FloatScalar operator +(FloatScalar left, FloatScalar right) => new(left._value + right._value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static FloatScalar operator -(FloatScalar left, FloatScalar right) => new(left._value - right._value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static FloatScalar operator *(FloatScalar left, FloatScalar right) => new(left._value * right._value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static FloatScalar operator /(FloatScalar left, FloatScalar right) => new(left._value / right._value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static FloatScalar MultiplyAdd(FloatScalar a, FloatScalar b, FloatScalar c) =>
        new(MathF.FusedMultiplyAdd(a._value, b._value, c._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static FloatScalar Max(FloatScalar left, FloatScalar right) => new(MathF.Max(left._value, right._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static FloatScalar Min(FloatScalar left, FloatScalar right) => new(MathF.Min(left._value, right._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static FloatScalar Sqrt(FloatScalar value) => new(MathF.Sqrt(value._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static FloatScalar Abs(FloatScalar value) => new(MathF.Abs(value._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static FloatScalar CopySign(FloatScalar magnitude, FloatScalar sign) => new(MathF.CopySign(magnitude._value, sign._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static FloatScalar Round(FloatScalar value) => new(MathF.Round(value._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static FloatScalar ScaleByPowerOfTwo(FloatScalar value, FloatScalar exponent) =>
        new(value._value * BitConverter.Int32BitsToSingle(((int)exponent._value + 127) << 23));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static FloatScalar Exponent(FloatScalar value) =>
        new((int)((BitConverter.SingleToUInt32Bits(value._value) << 1) >> 24) - 127);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static FloatScalar SelectLess(FloatScalar left, FloatScalar right, FloatScalar ifTrue, FloatScalar ifFalse) =>
        left._value < right._value ? ifTrue : ifFalse;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static double Sum(FloatScalar value) => value._value;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float MaxLane(FloatScalar value) => value._value;
}
