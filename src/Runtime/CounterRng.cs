using System.Runtime.CompilerServices;

namespace CrossAlign.Runtime;

/// <summary>
/// Counter-based random numbers: Philox-4x32 with 10 rounds. A draw is a pure function of a key (the run's seed) and a counter
/// that names what the number is for (example, layer, site, position), never of what was drawn before, so micro-batches, replays
/// and any number of threads agree. The CUDA kernels compute the same stream.
/// </summary>
/// <remarks>
/// Source: J. K. Salmon, M. A. Moraes, R. O. Dror, D. E. Shaw, "Parallel Random Numbers: As Easy as 1, 2, 3", SC 2011. Checked
/// against that paper's known-answer vectors.
/// </remarks>
public static class CounterRng
{
    private const uint Multiplier0 = 0xD2511F53;
    private const uint Multiplier1 = 0xCD9E8D57;
    private const uint Weyl0 = 0x9E3779B9;
    private const uint Weyl1 = 0xBB67AE85;

    /// <summary>Four random 32-bit words.</summary>
    /// <param name="key">The run's seed.</param>
    /// <param name="c0">First counter word.</param>
    /// <param name="c1">Second counter word.</param>
    /// <param name="c2">Third counter word.</param>
    /// <param name="c3">Fourth counter word.</param>
    /// <returns>Four independent words, each uniform over all 32-bit values.</returns>

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static (uint X, uint Y, uint Z, uint W) Block(ulong key, uint c0, uint c1, uint c2, uint c3)
    {
        uint k0 = (uint)key;
        uint k1 = (uint)(key >> 32);
        for (int round = 0; round < 10; round++)
        {
            ulong p0 = (ulong)Multiplier0 * c0;
            ulong p1 = (ulong)Multiplier1 * c2;
            (c0, c1, c2, c3) = ((uint)(p1 >> 32) ^ c1 ^ k0, (uint)p1, (uint)(p0 >> 32) ^ c3 ^ k1, (uint)p0);
            k0 += Weyl0;
            k1 += Weyl1;
        }

        return (c0, c1, c2, c3);
    }

    /// <summary>A float in [0, 1) with 24 random bits.</summary>
    /// <param name="word">A random word.</param>
    /// <returns>A multiple of 2^-24, below 1.</returns>

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float ToUnitFloat(uint word) => (word >> 8) * (1f / (1 << 24));
}
