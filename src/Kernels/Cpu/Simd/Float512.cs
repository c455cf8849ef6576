using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using CrossAlign.Runtime;

namespace CrossAlign.Kernels.Cpu.Simd;

/// <summary>
/// Sixteen lanes (AVX-512F). Where a process without AVX-512 is told to use them all the same (<see cref="CpuFeatures"/>), each is two
/// halves: slow, and the same code around it, so that it can be tested.
/// </summary>
internal readonly unsafe struct Float512(Vector512<float> value) : ISimdFloat<Float512>
{
    private readonly Vector512<float> _value = value;

    public static int Count => 16;

    public static Float512 Zero => new(Vector512<float>.Zero);

    public Vector512<float> Value
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => _value;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Float512 Broadcast(float value) => new(Vector512.Create(value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Float512 Load(float* source) => new(Vector512.Load(source));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(Float512 value, float* destination) => value._value.Store(destination);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Float512 LoadPartial(float* source, int count) =>
        Avx512F.IsSupported ? new(Avx512F.MaskLoad(source, Mask(count), Vector512<float>.Zero))
        : count < 8 ? Join(Float256.LoadPartial(source, count), Float256.Zero)
        : Join(Float256.Load(source), Float256.LoadPartial(source + 8, count - 8));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void StorePartial(Float512 value, float* destination, int count)
    {
        if (Avx512F.IsSupported)
        {
            Avx512F.MaskStore(destination, Mask(count), value._value);
        }
        else
        {
            Float256.StorePartial(value.Lower, destination, Math.Min(count, 8));
            Float256.StorePartial(value.Upper, destination + 8, Math.Max(count - 8, 0));
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Float512 LoadBFloat16(ushort* source) =>
        Avx512F.IsSupported
            ? new(Vector512.ShiftLeft(Avx512F.ConvertToVector512UInt32(Vector256.Load(source)), 16).AsSingle())
            : Join(Float256.LoadBFloat16(source), Float256.LoadBFloat16(source + 8));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void StoreBFloat16(Float512 value, ushort* destination)
    {
        if (!Avx512F.IsSupported)
        {
            Float256.StoreBFloat16(value.Lower, destination);
            Float256.StoreBFloat16(value.Upper, destination + 8);
            return;
        }

        Vector512<uint> bits = value._value.AsUInt32();
        Vector512<uint> rounded = bits + Vector512.Create(0x7FFFu) + (Vector512.ShiftRightLogical(bits, 16) & Vector512<uint>.One);
        Vector512<uint> quiet = bits | Vector512.Create(0x400000u);
        Vector512<uint> isNumber = Vector512.Equals(value._value, value._value).AsUInt32();
        Vector512<uint> high = Vector512.ShiftRightLogical(Vector512.ConditionalSelect(isNumber, rounded, quiet), 16);
        Avx512F.ConvertToVector256UInt16(high).Store(destination);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Float512 operator +(Float512 left, Float512 right) => new(left._value + right._value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Float512 operator -(Float512 left, Float512 right) => new(left._value - right._value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Float512 operator *(Float512 left, Float512 right) => new(left._value * right._value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Float512 operator /(Float512 left, Float512 right) => new(left._value / right._value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Float512 MultiplyAdd(Float512 a, Float512 b, Float512 c) => Avx512F.IsSupported
        ? new(Avx512F.FusedMultiplyAdd(a._value, b._value, c._value))
        : Join(Float256.MultiplyAdd(a.Lower, b.Lower, c.Lower), Float256.MultiplyAdd(a.Upper, b.Upper, c.Upper));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Float512 Max(Float512 left, Float512 right) => new(Vector512.Max(left._value, right._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Float512 Min(Float512 left, Float512 right) => new(Vector512.Min(left._value, right._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Float512 Sqrt(Float512 value) => new(Vector512.Sqrt(value._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Float512 Abs(Float512 value) => new(Vector512.Abs(value._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Float512 CopySign(Float512 magnitude, Float512 sign) =>
        new(Vector512.CopySign(magnitude._value, sign._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Float512 Round(Float512 value) => new(Vector512.Round(value._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Float512 ScaleByPowerOfTwo(Float512 value, Float512 exponent) => Avx512F.IsSupported
        ? new(Avx512F.Scale(value._value, exponent._value))
        : Join(Float256.ScaleByPowerOfTwo(value.Lower, exponent.Lower), Float256.ScaleByPowerOfTwo(value.Upper, exponent.Upper));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Float512 Exponent(Float512 value) => Avx512F.IsSupported
        ? new(Avx512F.GetExponent(value._value))
        : Join(Float256.Exponent(value.Lower), Float256.Exponent(value.Upper));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Float512 SelectLess(Float512 left, Float512 right, Float512 ifTrue, Float512 ifFalse) =>
        new(Vector512.ConditionalSelect(Vector512.LessThan(left._value, right._value), ifTrue._value, ifFalse._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static double Sum(Float512 value) =>
        Float256.Sum(new Float256(value._value.GetLower())) + Float256.Sum(new Float256(value._value.GetUpper()));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float MaxLane(Float512 value) =>
        Float256.MaxLane(new Float256(Vector256.Max(value._value.GetLower(), value._value.GetUpper())));

    private Float256 Lower
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => new(_value.GetLower());
    }

    private Float256 Upper
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => new(_value.GetUpper());
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Float512 Join(Float256 lower, Float256 upper) => new(Vector512.Create(lower.Value, upper.Value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Mask(int count) =>
        Vector512.LessThan(Vector512<int>.Indices, Vector512.Create(count)).AsSingle();
}
