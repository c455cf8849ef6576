namespace CrossAlign.Runtime;

/// <summary>How wide the vectors are that the CPU backend uses.</summary>
public enum SimdTier
{
    /// <summary>No vectors.</summary>
    Scalar,

    /// <summary>128 bits: SSE, or AdvSimd on Arm64.</summary>
    Vector128,

    /// <summary>256 bits: AVX2 with FMA.</summary>
    Vector256,

    /// <summary>512 bits: AVX-512F.</summary>
    Vector512,
}
