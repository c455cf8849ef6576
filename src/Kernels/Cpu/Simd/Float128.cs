using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace CrossAlign.Kernels.Cpu.Simd;

/// <summary>Four lanes (SSE, or AdvSimd on Arm64).</summary>
internal readonly unsafe struct Float128(Vector128<float> value) : ISimdFloat<Float128>
{
    private readonly Vector128<float> _value = value;

    public static int Count => 4;

    public static Float128 Zero => new(Vector128<float>.Zero);

    public Vector128<float> Value
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => _value;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Float128 Broadcast(float value) => new(Vector128.Create(value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Float128 Load(float* source) => new(Vector128.Load(source));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(Float128 value, float* destination) => value._value.Store(destination);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Float128 LoadPartial(float* source, int count)
    {
        float* lanes = stackalloc float[4];
        for (int i = 0; i < count; i++)
        {
            lanes[i] = source[i];
        }

        return Load(lanes);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void StorePartial(Float128 value, float* destination, int count)
    {
        for (int i = 0; i < count; i++)
        {
            destination[i] = value._value[i];
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Float128 LoadBFloat16(ushort* source) =>
        new(Vector128.ShiftLeft(Vector128.WidenLower(Vector128.CreateScalarUnsafe(*(ulong*)source).AsUInt16()), 16).AsSingle());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void StoreBFloat16(Float128 value, ushort* destination)
    {
        Vector128<uint> bits = value._value.AsUInt32();
        Vector128<uint> rounded = bits + Vector128.Create(0x7FFFu) + (Vector128.ShiftRightLogical(bits, 16) & Vector128<uint>.One);
        Vector128<uint> quiet = bits | Vector128.Create(0x400000u);
        Vector128<uint> isNumber = Vector128.Equals(value._value, value._value).AsUInt32();
        Vector128<uint> high = Vector128.ShiftRightLogical(Vector128.ConditionalSelect(isNumber, rounded, quiet), 16);
        *(ulong*)destination = Vector128.Narrow(high, high).AsUInt64().ToScalar();
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Float128 operator +(Float128 left, Float128 right) => new(left._value + right._value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Float128 operator -(Float128 left, Float128 right) => new(left._value - right._value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Float128 operator *(Float128 left, Float128 right) => new(left._value * right._value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Float128 operator /(Float128 left, Float128 right) => new(left._value / right._value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Float128 MultiplyAdd(Float128 a, Float128 b, Float128 c) => new(Vector128.MultiplyAddEstimate(a._value, b._value, c._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Float128 Max(Float128 left, Float128 right) => new(Vector128.Max(left._value, right._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Float128 Min(Float128 left, Float128 right) => new(Vector128.Min(left._value, right._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Float128 Sqrt(Float128 value) => new(Vector128.Sqrt(value._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Float128 Abs(Float128 value) => new(Vector128.Abs(value._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Float128 CopySign(Float128 magnitude, Float128 sign) =>
        new(Vector128.CopySign(magnitude._value, sign._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Float128 Round(Float128 value) => new(Vector128.Round(value._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Float128 ScaleByPowerOfTwo(Float128 value, Float128 exponent)
    {
        Vector128<int> bits = Vector128.ShiftLeft(Vector128.ConvertToInt32Native(exponent._value) + Vector128.Create(127), 23);
        return new(value._value * bits.AsSingle());
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Float128 Exponent(Float128 value)
    {
        Vector128<uint> biased = Vector128.ShiftRightLogical(Vector128.ShiftLeft(value._value.AsUInt32(), 1), 24);
        return new(Vector128.ConvertToSingle(biased.AsInt32() - Vector128.Create(127)));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Float128 SelectLess(Float128 left, Float128 right, Float128 ifTrue, Float128 ifFalse) =>
        new(Vector128.ConditionalSelect(Vector128.LessThan(left._value, right._value), ifTrue._value, ifFalse._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static double Sum(Float128 value)
    {
        (Vector128<double> lower, Vector128<double> upper) = Vector128.Widen(value._value);
        Vector128<double> pair = lower + upper;
        return pair[0] + pair[1];
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float MaxLane(Float128 value) =>
        MathF.Max(MathF.Max(value._value[0], value._value[1]), MathF.Max(value._value[2], value._value[3]));
}
