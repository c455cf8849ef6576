using System.Runtime.CompilerServices;

namespace CrossAlign.Kernels.Cpu.Simd;

/// <summary>Elementary functions of float32 lanes, and sums that keep what rounding drops. All of them inline.</summary>
internal static class SimdMath
{
    /// <summary>Below it the exponential is zero: ln(2^-126), the smallest normal number.</summary>
    private const float ExpLow = -87.33654f;

    /// <summary>Above it the exponential stays what it is there (about 2.2e38), so that no lane overflows.</summary>
    private const float ExpHigh = 88.3f;

    /// <summary>
    /// <c>e^x</c> within 2 units in the last place for x up to 88.3; greater arguments are taken as 88.3. Below -87.34 and at minus
    /// infinity it is exactly zero. NaN stays NaN.
    /// </summary>
    /// <remarks>x = n ln 2 + r with |r| &lt;= ln 2 / 2; a polynomial of degree 6, fitted for the least relative error (3e-9).</remarks>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TVector Exp<TVector>(TVector x)
        where TVector : unmanaged, ISimdFloat<TVector>
    {
        TVector high = TVector.Broadcast(ExpHigh);
        TVector low = TVector.Broadcast(ExpLow);
        TVector bounded = TVector.SelectLess(high, x, high, x);
        TVector inRange = TVector.SelectLess(x, low, low, bounded);
        return TVector.SelectLess(x, low, TVector.Zero, ExpInRange(inRange));
    }

    /// <summary>Like <see cref="Exp"/>, for arguments that are not positive: a few instructions less.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TVector ExpNonPositive<TVector>(TVector x)
        where TVector : unmanaged, ISimdFloat<TVector>
    {
        // Far below the exponent has no float; what comes of it there is not taken.
        return TVector.SelectLess(x, TVector.Broadcast(ExpLow), TVector.Zero, ExpInRange(x));
    }

    /// <summary>The natural logarithm of normal numbers from 2^-126 to less than 2^127, within 2 units in the last place or 1e-7; NaN stays NaN.</summary>
    /// <remarks>x = m 2^e with m from sqrt(1/2) to sqrt(2); ln m = 2 artanh s, s = (m - 1) / (m + 1), |s| &lt;= 0.172: five terms of the
    /// series leave 4e-10.</remarks>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TVector Log<TVector>(TVector x)
        where TVector : unmanaged, ISimdFloat<TVector>
    {
        TVector one = TVector.Broadcast(1f);
        TVector root = TVector.Broadcast(1.41421354f);
        TVector e = TVector.Exponent(x);
        TVector m = TVector.ScaleByPowerOfTwo(x, TVector.Zero - e);
        e = TVector.SelectLess(root, m, e + one, e);
        m = TVector.SelectLess(root, m, m * TVector.Broadcast(0.5f), m);
        TVector s = (m - one) / (m + one);
        TVector square = s * s;
        TVector p = TVector.MultiplyAdd(square, TVector.Broadcast(2f / 9), TVector.Broadcast(2f / 7));
        p = TVector.MultiplyAdd(p, square, TVector.Broadcast(2f / 5));
        p = TVector.MultiplyAdd(p, square, TVector.Broadcast(2f / 3));
        p = TVector.MultiplyAdd(p * square, s, s + s);

        // ln 2 in two parts, as in the exponential.
        return TVector.MultiplyAdd(e, TVector.Broadcast(0.693359375f), TVector.MultiplyAdd(e, TVector.Broadcast(-2.12194440e-4f), p));
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

    /// <summary><c>1 / (1 + e^-x)</c>, with full relative accuracy on both sides.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TVector Sigmoid<TVector>(TVector x)
        where TVector : unmanaged, ISimdFloat<TVector>
    {
        TVector one = TVector.Broadcast(1f);
        TVector e = ExpNonPositive(TVector.Zero - TVector.Abs(x));
        TVector s = one / (one + e);
        return TVector.SelectLess(x, TVector.Zero, e * s, s);
    }

    /// <summary>
    /// The normal distribution function <c>(1 + erf(x / sqrt(2))) / 2</c>, with relative accuracy in the lower tail.
    /// </summary>
    /// <param name="x">The lanes.</param>
    /// <param name="exponential"><c>e^(-x^2 / 2)</c>, which the density needs as well.</param>
    /// <remarks>
    /// For a = |x|, Phi(-a) = e^(-a^2/2) t P(t) with t = 1 / (1 + 0.266 a): the form of Abramowitz and Stegun 26.2.17, with a
    /// polynomial of degree 8 fitted here to a relative error of 1.3e-8 over a from 0 to 14.
    /// </remarks>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TVector NormalCdf<TVector>(TVector x, TVector exponential)
        where TVector : unmanaged, ISimdFloat<TVector>
    {
        TVector one = TVector.Broadcast(1f);
        TVector t = one / TVector.MultiplyAdd(TVector.Abs(x), TVector.Broadcast(0.266f), one);
        TVector p = TVector.MultiplyAdd(TVector.Broadcast(0.0305258804f), t, TVector.Broadcast(-0.14092084f));
        p = TVector.MultiplyAdd(p, t, TVector.Broadcast(0.208319052f));
        p = TVector.MultiplyAdd(p, t, TVector.Broadcast(-0.106726763f));
        p = TVector.MultiplyAdd(p, t, TVector.Broadcast(0.131644528f));
        p = TVector.MultiplyAdd(p, t, TVector.Broadcast(0.0628366168f));
        p = TVector.MultiplyAdd(p, t, TVector.Broadcast(0.102470011f));
        p = TVector.MultiplyAdd(p, t, TVector.Broadcast(0.105714721f));
        p = TVector.MultiplyAdd(p, t, TVector.Broadcast(0.106136801f));
        TVector lower = exponential * (p * t);
        return TVector.SelectLess(x, TVector.Zero, lower, one - lower);
    }

    /// <summary>
    /// Adds to a sum held as two floats, so that it is nearly as exact as one in double: <paramref name="low"/> takes what the
    /// addition to <paramref name="high"/> rounds away.
    /// </summary>
    /// <remarks>Source: D. E. Knuth, The Art of Computer Programming 2, 4.2.2, theorem B (no order of magnitudes needed).</remarks>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Accumulate<TVector>(TVector value, ref TVector high, ref TVector low)
        where TVector : unmanaged, ISimdFloat<TVector>
    {
        TVector sum = high + value;
        TVector part = sum - high;
        low += (high - (sum - part)) + (value - part);
        high = sum;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static TVector ExpInRange<TVector>(TVector x)
        where TVector : unmanaged, ISimdFloat<TVector>
    {
        TVector n = TVector.Round(x * TVector.Broadcast(1.44269504f));

        // ln 2 in two parts; the first has few bits, so that n times it is exact.
        TVector r = TVector.MultiplyAdd(n, TVector.Broadcast(-0.693359375f), x);
        r = TVector.MultiplyAdd(n, TVector.Broadcast(2.12194440e-4f), r);
        TVector p = TVector.MultiplyAdd(TVector.Broadcast(0.00138145393f), r, TVector.Broadcast(0.00836874518f));
        p = TVector.MultiplyAdd(p, r, TVector.Broadcast(0.0416683908f));
        p = TVector.MultiplyAdd(p, r, TVector.Broadcast(0.166665204f));
        p = TVector.MultiplyAdd(p, r, TVector.Broadcast(0.499999934f));
        p = TVector.MultiplyAdd(p, r * r, r + TVector.Broadcast(1f));
        return TVector.ScaleByPowerOfTwo(p, n);
    }
}
