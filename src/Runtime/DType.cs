namespace CrossAlign.Runtime;

/// <summary>The element types that tensors on a device can have.</summary>
public enum DType
{
    /// <summary>IEEE 754 binary32. Master weights, moments, gradients, statistics and log-sum-exps always have it.</summary>
    Float32,

    /// <summary>bfloat16: the high half of a binary32. Storage only; products of it accumulate in float32.</summary>
    BFloat16,

    /// <summary>Signed 32-bit integers: token ids, positions, <c>cuSeqlens</c>, targets.</summary>
    Int32,

    /// <summary>Unsigned bytes: pixels, masks.</summary>
    UInt8,
}

/// <summary>Facts about <see cref="DType"/>.</summary>
public static class DTypeExtensions
{
    /// <summary>The number of bytes that one element takes.</summary>
    /// <param name="dtype">The element type.</param>
    /// <returns>4, 2, 4 or 1.</returns>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="dtype"/> is not one of the enumeration's values.</exception>
    public static int ByteSize(this DType dtype) => dtype switch
    {
        DType.Float32 => 4,
        DType.BFloat16 => 2,
        DType.Int32 => 4,
        DType.UInt8 => 1,
        _ => throw new ArgumentOutOfRangeException(nameof(dtype), dtype, "Not an element type."),
    };
}
