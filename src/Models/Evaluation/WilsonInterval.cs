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

        WilsonInterval interval = OfShare((double)successes / count, count);

        // At the ends the two terms cancel exactly in theory and leave 1e-17 in practice.
        return new WilsonInterval(successes == 0 ? 0 : interval.Low, successes == count ? 1 : interval.High);
    }

    /// <summary>The interval of a share that need not be a whole number of successes: a mean over seeds, say.</summary>
    /// <param name="share">0 to 1.</param>
    /// <param name="count">The number of trials. With none nothing is known: [0, 1].</param>
    /// <returns>The interval.</returns>
    /// <exception cref="ArgumentOutOfRangeException">The share is not between 0 and 1, or the count is negative.</exception>
    public static WilsonInterval OfShare(double share, long count)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(count);
        if (!(share >= 0 && share <= 1))
        {
            throw new ArgumentOutOfRangeException(nameof(share), share, "A share lies between 0 and 1.");
        }

        if (count == 0)
        {
            return new WilsonInterval(0, 1);
        }

        double z2 = Z * Z;
        double denominator = 1 + (z2 / count);
        double centre = share + (z2 / (2 * count));
        double half = Z * Math.Sqrt((share * (1 - share) / count) + (z2 / (4.0 * count * count)));
        return new WilsonInterval(Math.Max(0, (centre - half) / denominator), Math.Min(1, (centre + half) / denominator));
    }
}
