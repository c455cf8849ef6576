using System.Runtime.CompilerServices;

namespace CrossAlign.Runtime;

/// <summary>A bfloat16 number: sign, 8 bits of exponent, 7 of fraction. A storage format; arithmetic is done in float32.</summary>
/// <param name="Bits">The high half of the binary32 of the same value.</param>
public readonly record struct BFloat16(ushort Bits)
{
    /// <summary>Rounds to nearest, ties to even. A NaN stays a NaN (quiet); values beyond the range become infinite.</summary>
    /// <param name="value">A float.</param>
    /// <returns>The nearest bfloat16.</returns>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static BFloat16 FromSingle(float value)
    {
        uint bits = BitConverter.SingleToUInt32Bits(value);
        if (float.IsNaN(value))
        {
            return new BFloat16((ushort)((bits >> 16) | 0x40));
        }

        return new BFloat16((ushort)((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16));
    }

    /// <summary>The same value as a float, exactly.</summary>
    /// <returns>The float.</returns>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public float ToSingle() => BitConverter.UInt32BitsToSingle((uint)Bits << 16);
}
