namespace CrossAlign.Models.Evaluation;

/// <summary>How high the right items were ranked. Rates are fractions of 1; with no queries they are NaN.</summary>
/// <param name="Count">The number of queries.</param>
/// <param name="Pool">The number of items that each query was compared with.</param>
/// <param name="R1">Share of queries whose right item is first.</param>
/// <param name="R5">Share of queries whose right item is among the first 5.</param>
/// <param name="R10">Share of queries whose right item is among the first 10.</param>
/// <param name="Mrr">Mean reciprocal rank.</param>
/// <param name="MedianRank">Median rank; the mean of the middle two for an even count.</param>
public sealed record RetrievalMetrics(int Count, int Pool, double R1, double R5, double R10, double Mrr, double MedianRank)
{
    /// <summary>The 95 % interval of <see cref="R1"/>.</summary>
    public WilsonInterval R1Interval => WilsonInterval.Of(Count == 0 ? 0 : (long)Math.Round(R1 * Count), Count);

    /// <summary>Summarises ranks.</summary>
    /// <param name="ranks">A rank from 1 for each query.</param>
    /// <param name="pool">The size of the pool.</param>
    /// <returns>The measures.</returns>
    /// <exception cref="ArgumentOutOfRangeException">A rank is not within the pool.</exception>
    public static RetrievalMetrics FromRanks(ReadOnlySpan<int> ranks, int pool)
    {
        int n = ranks.Length;
        if (n == 0)
        {
            return new RetrievalMetrics(0, pool, double.NaN, double.NaN, double.NaN, double.NaN, double.NaN);
        }

        int first = 0;
        int five = 0;
        int ten = 0;
        double reciprocals = 0;
        foreach (int rank in ranks)
        {
            if (rank < 1 || rank > pool)
            {
                throw new ArgumentOutOfRangeException(nameof(ranks), rank, $"A rank lies between 1 and the pool's {pool}.");
            }

            first += rank <= 1 ? 1 : 0;
            five += rank <= 5 ? 1 : 0;
            ten += rank <= 10 ? 1 : 0;
            reciprocals += 1.0 / rank;
        }

        int[] sorted = ranks.ToArray();
        Array.Sort(sorted);
        double median = n % 2 == 1 ? sorted[n / 2] : (sorted[(n / 2) - 1] + (double)sorted[n / 2]) / 2;
        return new RetrievalMetrics(n, pool, (double)first / n, (double)five / n, (double)ten / n, reciprocals / n, median);
    }
}
