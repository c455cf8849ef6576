using System.Runtime.CompilerServices;

namespace CrossAlign.Kernels.Cpu.Simd;

/// <summary>Exponential functions of arguments up to zero, to about one unit in the last place, at every vector width.</summary>
internal static class SimdExponential
{
    // Below this the result is no normal number; it is taken as zero.
    private const float Lowest = -87.3365f;

    /// <summary><c>exp(value)</c> for values up to 0 (and a little above); 0 below -87.3; NaN for NaN.</summary>
    /// <typeparam name="TVector">The vector width.</typeparam>
    /// <param name="value">At most about 80.</param>
    /// <returns>The exponential.</returns>
    /// <remarks>Polynomial: S. L. Moshier, Cephes, expf.</remarks>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TVector Exp<TVector>(TVector value)
        where TVector : unmanaged, ISimdFloat<TVector>
    {
        TVector lowest = TVector.Broadcast(Lowest);
        TVector x = TVector.SelectLess(value, lowest, lowest, value);
        TVector n = TVector.Round(x * TVector.Broadcast(1.44269504088896341f));
        TVector r = TVector.MultiplyAdd(n, TVector.Broadcast(-0.693359375f), x);
        r = TVector.MultiplyAdd(n, TVector.Broadcast(2.12194440e-4f), r);
        TVector p = TVector.Broadcast(1.9875691500e-4f);
        p = TVector.MultiplyAdd(p, r, TVector.Broadcast(1.3981999507e-3f));
        p = TVector.MultiplyAdd(p, r, TVector.Broadcast(8.3334519073e-3f));
        p = TVector.MultiplyAdd(p, r, TVector.Broadcast(4.1665795894e-2f));
        p = TVector.MultiplyAdd(p, r, TVector.Broadcast(1.6666665459e-1f));
        p = TVector.MultiplyAdd(p, r, TVector.Broadcast(5.0000001201e-1f));
        p = TVector.MultiplyAdd(p, r * r, r + TVector.Broadcast(1));
        return TVector.SelectLess(value, lowest, TVector.Zero, TVector.ScaleByPowerOfTwo(p, n));
    }

    /// <summary><c>ln(1 + value)</c> for 0 to 1: twice the series of the inverse hyperbolic tangent of value / (2 + value).</summary>
    /// <typeparam name="TVector">The vector width.</typeparam>
    /// <param name="value">0 to 1.</param>
    /// <returns>The logarithm; the series is cut at 1.4e-9 of it.</returns>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TVector LogOnePlus<TVector>(TVector value)
        where TVector : unmanaged, ISimdFloat<TVector>
    {
        TVector s = value / (value + TVector.Broadcast(2));
        TVector q = s * s;
        TVector p = TVector.Broadcast(2f / 15);
        p = TVector.MultiplyAdd(p, q, TVector.Broadcast(2f / 13));
        p = TVector.MultiplyAdd(p, q, TVector.Broadcast(2f / 11));
        p = TVector.MultiplyAdd(p, q, TVector.Broadcast(2f / 9));
        p = TVector.MultiplyAdd(p, q, TVector.Broadcast(2f / 7));
        p = TVector.MultiplyAdd(p, q, TVector.Broadcast(2f / 5));
        p = TVector.MultiplyAdd(p, q, TVector.Broadcast(2f / 3));
        return TVector.MultiplyAdd(p * q, s, s + s);
    }
}
