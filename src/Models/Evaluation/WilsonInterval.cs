namespace CrossAlign.Models.Evaluation;

/// <summary>The 95 % score interval of a share (Wilson 1927).</summary>
/// <param name="Low">Lower end, at least 0.</param>
/// <param name="High">Upper end, at most 1.</param>
public readonly record struct WilsonInterval(double Low, double High)
{
    private const double Z = 1.959963984540054;

    /// <summary>The interval of a number of successes.</summary>
    /// <param name="successes">0 to <paramref name="count"/>.</param>
    /// <param name="count">The number of trials. With none nothing is known: [0, 1].</param>
    /// <returns>The interval.</returns>
    /// <exception cref="ArgumentOutOfRangeException">A number is negative, or there are more successes than trials.</exception>
    public static WilsonInterval Of(long successes, long count)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(successes);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(successes, count);
        if (count == 0)
        {
            return new WilsonInterval(0, 1);
        }

        double share = (double)successes / count;
        double z2 = Z * Z;
        double denominator = 1 + (z2 / count);
        double centre = share + (z2 / (2 * count));
        double half = Z * Math.Sqrt((share * (1 - share) / count) + (z2 / (4.0 * count * count)));

        // At the ends the two terms cancel exactly in theory and leave 1e-17 in practice.
        double low = successes == 0 ? 0 : Math.Max(0, (centre - half) / denominator);
        double high = successes == count ? 1 : Math.Min(1, (centre + half) / denominator);
        return new WilsonInterval(low, high);
    }
}
