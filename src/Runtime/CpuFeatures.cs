using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace CrossAlign.Runtime;

/// <summary>What this processor offers, decided once at start. Lower tiers are forced by the runtime's own switches
/// (<c>DOTNET_EnableAVX512=0</c>, <c>DOTNET_EnableAVX2=0</c>, <c>DOTNET_EnableHWIntrinsic=0</c>); the highest by <see cref="ForceVariable"/>.</summary>
public static class CpuFeatures
{
    /// <summary>
    /// The environment variable that, set to <c>512</c> on a processor with AVX2 alone, makes 512-bit vectors of two halves: for tests of that
    /// tier where there is no such processor.
    /// </summary>
    public const string ForceVariable = "CROSSALIGN_SIMD";

    /// <summary>The tier in use.</summary>
    public static SimdTier Tier { get; } =
        Avx512F.IsSupported ? SimdTier.Vector512
        : Avx2.IsSupported && Fma.IsSupported ? (Environment.GetEnvironmentVariable(ForceVariable) == "512" ? SimdTier.Vector512 : SimdTier.Vector256)
        : Vector128.IsHardwareAccelerated ? SimdTier.Vector128
        : SimdTier.Scalar;

    /// <summary>Whether this processor, with the runtime's switches as they are, can run a tier.</summary>
    /// <param name="tier">The tier.</param>
    /// <returns>True for the tier in use and all below it.</returns>
    public static bool Supports(SimdTier tier) => tier <= Tier;

    /// <summary>Whether the processor multiplies pairs of bfloat16 (AVX512_BF16) and 512-bit vectors are in use.</summary>
    public static bool HasBFloat16Products { get; } = Avx512F.IsSupported && X86Base.CpuId(7, 0).Eax >= 1 && (X86Base.CpuId(7, 1).Eax & (1 << 5)) != 0;
}
