namespace CrossAlign.Models.Evaluation;

/// <summary>One figure over several seeds.</summary>
/// <param name="Figure">The figure of the first seed: it says what was measured.</param>
/// <param name="Seeds">The number of seeds.</param>
/// <param name="Mean">Mean of R@1.</param>
/// <param name="Deviation">Sample standard deviation of R@1 (n - 1); null for one seed.</param>
/// <param name="Interval">The 95 % Wilson interval of the mean at the number of queries of one seed: seeds share their queries.</param>
/// <param name="Baseline">Mean of the baseline's R@1; null where there is none.</param>
public sealed record SeedStatistics(
    Figure Figure, int Seeds, double? Mean, double? Deviation, WilsonInterval Interval, double? Baseline)
{
    /// <summary>The baseline's 95 % Wilson interval at the same number of queries; null where there is none.</summary>
    public WilsonInterval? BaselineInterval => Baseline is { } share ? WilsonInterval.OfShare(share, Figure.Count) : null;

    /// <summary>Whether the interval lies above the baseline's: the two do not overlap. False where there is no baseline.</summary>
    public bool ExceedsBaseline => BaselineInterval is { } baseline && Interval.Low > baseline.High;

    /// <summary>Groups figures that differ in their seed alone, in order of first appearance.</summary>
    /// <param name="figures">Figures of any runs.</param>
    /// <returns>One entry a group.</returns>
    /// <exception cref="ArgumentException">A seed gives the same figure twice.</exception>
    public static IReadOnlyList<SeedStatistics> Of(IEnumerable<Figure> figures)
    {
        ArgumentNullException.ThrowIfNull(figures);
        return [.. figures.GroupBy(Key).Select(g => OfOne([.. g]))];
    }

    private static (string, string, string, string, string, string?, string, string) Key(Figure f) =>
        (f.Setup, f.Task, f.From, f.To, f.Set, f.Style, f.Queries, f.Score);

    private static SeedStatistics OfOne(IReadOnlyList<Figure> figures)
    {
        Figure first = figures[0];
        if (figures.Select(f => f.Seed).Distinct().Count() != figures.Count)
        {
            throw new ArgumentException(
                $"Seed {first.Seed} of {first.Setup} gives {first.Task} {first.From}->{first.To} ({first.Set}, {first.Queries}, {first.Score}) twice.",
                nameof(figures));
        }

        double[] rates = [.. figures.Where(f => f.R1 is not null).Select(f => f.R1!.Value)];
        double? mean = rates.Length == 0 ? null : rates.Average();
        double? deviation = rates.Length < 2 ? null : Math.Sqrt(rates.Sum(r => (r - mean!.Value) * (r - mean.Value)) / (rates.Length - 1));
        double[] baselines = [.. figures.Where(f => f.Baseline is not null).Select(f => f.Baseline!.R1)];
        return new SeedStatistics(
            first,
            figures.Count,
            mean,
            deviation,
            mean is null ? new WilsonInterval(0, 1) : WilsonInterval.OfShare(mean.Value, first.Count),
            baselines.Length == 0 ? null : baselines.Average());
    }
}
