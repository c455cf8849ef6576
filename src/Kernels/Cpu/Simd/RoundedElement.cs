using System.Runtime.CompilerServices;
using CrossAlign.Runtime;

namespace CrossAlign.Kernels.Cpu.Simd;

/// <summary>Elements stored as float32 and rounded to bfloat16 as they are read; writing does not round.</summary>
internal readonly unsafe struct RoundedElement : ISimdElement
{
    public static DType DType => DType.Float32;

    public static int ByteSize => 4;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TVector Load<TVector>(void* array, long index)
        where TVector : unmanaged, ISimdFloat<TVector> => Round(Float32Element.Load<TVector>(array, index));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TVector LoadPartial<TVector>(void* array, long index, int count)
        where TVector : unmanaged, ISimdFloat<TVector> => Round(Float32Element.LoadPartial<TVector>(array, index, count));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store<TVector>(TVector value, void* array, long index)
        where TVector : unmanaged, ISimdFloat<TVector> => Float32Element.Store(value, array, index);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void StorePartial<TVector>(TVector value, void* array, long index, int count)
        where TVector : unmanaged, ISimdFloat<TVector> => Float32Element.StorePartial(value, array, index, count);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float LoadScalar(void* array, long index) => BFloat16.FromSingle(((float*)array)[index]).ToSingle();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void StoreScalar(float value, void* array, long index) => Float32Element.StoreScalar(value, array, index);

    // Through memory: sixteen lanes of two bytes at most.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static TVector Round<TVector>(TVector value)
        where TVector : unmanaged, ISimdFloat<TVector>
    {
        (UInt128 Low, UInt128 High) lanes = default;
        TVector.StoreBFloat16(value, (ushort*)&lanes);
        return TVector.LoadBFloat16((ushort*)&lanes);
    }
}
