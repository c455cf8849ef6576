namespace CrossAlign.Models.Evaluation;

/// <summary>
/// One measured figure, complete in itself, as <c>report.json</c> and <c>eval --json</c> list them. Rates are fractions of 1; a rate
/// that does not exist (no queries) is null.
/// </summary>
public sealed record Figure
{
    /// <summary>The set-up that was trained: <c>multilingual+quechua</c>, say.</summary>
    public required string Setup { get; init; }

    /// <summary>The seed of the run.</summary>
    public required long Seed { get; init; }

    /// <summary>What was done; see <see cref="FigureTasks"/>.</summary>
    public required string Task { get; init; }

    /// <summary>The language of the queries, or <c>picture</c>.</summary>
    public required string From { get; init; }

    /// <summary>The language of the pool, or <c>picture</c>.</summary>
    public required string To { get; init; }

    /// <summary>The concepts or texts: <c>seen</c>, <c>held-out-captions</c>, <c>unseen</c>, <c>udhr</c>.</summary>
    public required string Set { get; init; }

    /// <summary>The drawing style of the pictures; null where there are none or the pictures have no style.</summary>
    public string? Style { get; init; }

    /// <summary>The subset of the queries; see <see cref="QuerySubset"/>.</summary>
    public required string Queries { get; init; }

    /// <summary>How vectors were compared: <c>cosine</c>, <c>csls</c>, <c>margin</c>, <c>centred</c>, <c>dot</c>, <c>xsim</c>.</summary>
    public required string Score { get; init; }

    /// <summary>The number of queries.</summary>
    public required int Count { get; init; }

    /// <summary>The number of items that each query was compared with.</summary>
    public required int Pool { get; init; }

    /// <summary>R@1; for a classifier its accuracy.</summary>
    public required double? R1 { get; init; }

    /// <summary>R@5.</summary>
    public required double? R5 { get; init; }

    /// <summary>R@10.</summary>
    public required double? R10 { get; init; }

    /// <summary>Mean reciprocal rank.</summary>
    public required double? Mrr { get; init; }

    /// <summary>Median rank.</summary>
    public required double? MedianRank { get; init; }

    /// <summary>Lower and upper end of the 95 % Wilson interval of <see cref="R1"/>.</summary>
    public required IReadOnlyList<double> Wilson95 { get; init; }

    /// <summary>What strings alone reach on the same queries and pool; null for pictures.</summary>
    public FigureBaseline? Baseline { get; init; }

    /// <summary>A figure of retrieval.</summary>
    /// <param name="origin">Set-up and seed.</param>
    /// <param name="metrics">What was measured.</param>
    /// <param name="task">The task.</param>
    /// <param name="from">Language of the queries, or <c>picture</c>.</param>
    /// <param name="to">Language of the pool, or <c>picture</c>.</param>
    /// <param name="set">The concepts.</param>
    /// <param name="queries">The subset.</param>
    /// <param name="score">The comparison.</param>
    /// <returns>The figure, without style and baseline.</returns>
    public static Figure Of(
        FigureOrigin origin,
        RetrievalMetrics metrics,
        string task,
        string from,
        string to,
        string set,
        QuerySubset queries,
        SimilarityScore score)
    {
        ArgumentNullException.ThrowIfNull(origin);
        ArgumentNullException.ThrowIfNull(metrics);
        WilsonInterval interval = metrics.R1Interval;
        return new Figure
        {
            Setup = origin.Setup,
            Seed = origin.Seed,
            Task = task,
            From = from,
            To = to,
            Set = set,
            Queries = FigureNames.Of(queries),
            Score = FigureNames.Of(score),
            Count = metrics.Count,
            Pool = metrics.Pool,
            R1 = Known(metrics.R1),
            R5 = Known(metrics.R5),
            R10 = Known(metrics.R10),
            Mrr = Known(metrics.Mrr),
            MedianRank = Known(metrics.MedianRank),
            Wilson95 = [interval.Low, interval.High],
        };
    }

    private static double? Known(double value) => double.IsNaN(value) ? null : value;
}

