using System.Runtime.CompilerServices;
using CrossAlign.Runtime;

namespace CrossAlign.Kernels.Cpu.Simd;

/// <summary>How the elements of a tensor are stored: reading widens to float32 lanes, writing rounds.</summary>
internal unsafe interface ISimdElement
{
    static abstract DType DType { get; }

    static abstract int ByteSize { get; }

    /// <summary>Reads lanes <paramref name="index"/>, <paramref name="index"/> + 1, ... of an array.</summary>
    static abstract TVector Load<TVector>(void* array, long index)
        where TVector : unmanaged, ISimdFloat<TVector>;

    /// <summary>Reads the first <paramref name="count"/> lanes; the others are zero and their memory is not touched.</summary>
    static abstract TVector LoadPartial<TVector>(void* array, long index, int count)
        where TVector : unmanaged, ISimdFloat<TVector>;

    static abstract void Store<TVector>(TVector value, void* array, long index)
        where TVector : unmanaged, ISimdFloat<TVector>;

    /// <summary>Writes the first <paramref name="count"/> lanes and no more.</summary>
    static abstract void StorePartial<TVector>(TVector value, void* array, long index, int count)
        where TVector : unmanaged, ISimdFloat<TVector>;

    static abstract float LoadScalar(void* array, long index);

    static abstract void StoreScalar(float value, void* array, long index);
}

/// <summary>Elements stored as float32.</summary>
internal readonly unsafe struct Float32Element : ISimdElement
{
    public static DType DType => DType.Float32;

    public static int ByteSize => 4;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TVector Load<TVector>(void* array, long index)
        where TVector : unmanaged, ISimdFloat<TVector> => TVector.Load((float*)array + index);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TVector LoadPartial<TVector>(void* array, long index, int count)
        where TVector : unmanaged, ISimdFloat<TVector> => TVector.LoadPartial((float*)array + index, count);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store<TVector>(TVector value, void* array, long index)
        where TVector : unmanaged, ISimdFloat<TVector> => TVector.Store(value, (float*)array + index);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void StorePartial<TVector>(TVector value, void* array, long index, int count)
        where TVector : unmanaged, ISimdFloat<TVector> => TVector.StorePartial(value, (float*)array + index, count);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float LoadScalar(void* array, long index) => ((float*)array)[index];

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void StoreScalar(float value, void* array, long index) => ((float*)array)[index] = value;
}

/// <summary>Elements stored as bfloat16.</summary>
internal readonly unsafe struct BFloat16Element : ISimdElement
{
    public static DType DType => DType.BFloat16;

    public static int ByteSize => 2;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TVector Load<TVector>(void* array, long index)
        where TVector : unmanaged, ISimdFloat<TVector> => TVector.LoadBFloat16((ushort*)array + index);

    public static TVector LoadPartial<TVector>(void* array, long index, int count)
        where TVector : unmanaged, ISimdFloat<TVector>
    {
        ushort* lanes = stackalloc ushort[16];
        for (int i = 0; i < count; i++)
        {
            lanes[i] = ((ushort*)array)[index + i];
        }

        return TVector.LoadBFloat16(lanes);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store<TVector>(TVector value, void* array, long index)
        where TVector : unmanaged, ISimdFloat<TVector> => TVector.StoreBFloat16(value, (ushort*)array + index);

    public static void StorePartial<TVector>(TVector value, void* array, long index, int count)
        where TVector : unmanaged, ISimdFloat<TVector>
    {
        ushort* lanes = stackalloc ushort[16];
        TVector.StoreBFloat16(value, lanes);
        for (int i = 0; i < count; i++)
        {
            ((ushort*)array)[index + i] = lanes[i];
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float LoadScalar(void* array, long index) => new BFloat16(((ushort*)array)[index]).ToSingle();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void StoreScalar(float value, void* array, long index) =>
        ((ushort*)array)[index] = BFloat16.FromSingle(value).Bits;
}
