namespace CrossAlign.Models.Evaluation;

/// <summary>
/// Ranks of right items. The rank is 1 + the number of other items whose score is not below the right one's: ties are broken
/// against us, and a score that is not a number counts as larger than any.
/// </summary>
public static class Retrieval
{
    /// <summary>The rank of item i for query i.</summary>
    /// <param name="scores">Scores of n queries against a pool of at least n, of which the first n are the right ones in order.</param>
    /// <returns>A rank from 1 for each query.</returns>
    /// <exception cref="ArgumentException">The pool is smaller than the number of queries.</exception>
    public static int[] Ranks(ScoreRows scores)
    {
        ArgumentNullException.ThrowIfNull(scores);
        int[] targets = [.. Enumerable.Range(0, scores.QueryCount)];
        return Ranks(scores, targets);
    }

    /// <summary>The rank of the right item for each query.</summary>
    /// <param name="scores">Scores of n queries against a pool.</param>
    /// <param name="targets">For each query the row of the pool that is right.</param>
    /// <returns>A rank from 1 for each query.</returns>
    /// <exception cref="ArgumentException">There is not one target a query, or it lies outside the pool.</exception>
    public static int[] Ranks(ScoreRows scores, IReadOnlyList<int> targets)
    {
        ArgumentNullException.ThrowIfNull(scores);
        ArgumentNullException.ThrowIfNull(targets);
        if (targets.Count != scores.QueryCount || targets.Any(t => t < 0 || t >= scores.PoolCount))
        {
            throw new ArgumentException(
                $"{targets.Count} targets do not name one item of the pool of {scores.PoolCount} for each of {scores.QueryCount} queries.",
                nameof(targets));
        }

        int[] ranks = new int[scores.QueryCount];
        scores.ForEach((query, row) => ranks[query] = Rank(row, targets[query]));
        return ranks;
    }

    /// <summary>The item with the highest score for each query, the first among equals; -1 where the pool is empty.</summary>
    /// <param name="scores">Scores of n queries against a pool.</param>
    /// <returns>A row of the pool for each query.</returns>
    public static int[] Top1(ScoreRows scores)
    {
        ArgumentNullException.ThrowIfNull(scores);
        int[] top = new int[scores.QueryCount];
        scores.ForEach((query, row) =>
        {
            int best = row.Length == 0 ? -1 : 0;
            for (int j = 1; j < row.Length; j++)
            {
                best = row[j] > row[best] ? j : best;
            }

            top[query] = best;
        });
        return top;
    }

    /// <summary>Retrieval where every item of the query's group is right.</summary>
    /// <param name="scores">Scores of n queries against a pool.</param>
    /// <param name="queryGroups">The group of each query.</param>
    /// <param name="poolGroups">The group of each item. Each query's group must have at least one item.</param>
    /// <returns>Mean average precision and the measures of the first relevant item.</returns>
    /// <exception cref="ArgumentException">A count does not fit, or a query has no relevant item.</exception>
    public static GroupedRetrievalMetrics Grouped(ScoreRows scores, IReadOnlyList<int> queryGroups, IReadOnlyList<int> poolGroups)
    {
        ArgumentNullException.ThrowIfNull(scores);
        ArgumentNullException.ThrowIfNull(queryGroups);
        ArgumentNullException.ThrowIfNull(poolGroups);
        (double[] precision, int[] firstPlaces, double relevant) = RankGroups(scores, queryGroups, poolGroups);
        return new GroupedRetrievalMetrics(Mean(precision), relevant, RetrievalMetrics.FromRanks(firstPlaces, scores.PoolCount));
    }

    /// <summary>The place of the first item of the query's group, equal scores of other items counting against us.</summary>
    /// <param name="scores">Scores of n queries against a pool.</param>
    /// <param name="queryGroups">The group of each query.</param>
    /// <param name="poolGroups">The group of each item. Each query's group must have at least one item.</param>
    /// <returns>A rank from 1 for each query.</returns>
    /// <exception cref="ArgumentException">A count does not fit, or a query has no relevant item.</exception>
    public static int[] FirstRelevantRanks(ScoreRows scores, IReadOnlyList<int> queryGroups, IReadOnlyList<int> poolGroups)
    {
        ArgumentNullException.ThrowIfNull(scores);
        ArgumentNullException.ThrowIfNull(queryGroups);
        ArgumentNullException.ThrowIfNull(poolGroups);
        return RankGroups(scores, queryGroups, poolGroups).FirstPlaces;
    }

    private static (double[] Precision, int[] FirstPlaces, double RelevantPerQuery) RankGroups(
        ScoreRows scores, IReadOnlyList<int> queryGroups, IReadOnlyList<int> poolGroups)
    {
        if (queryGroups.Count != scores.QueryCount || poolGroups.Count != scores.PoolCount)
        {
            throw new ArgumentException("A group is needed for every query and every item of the pool.", nameof(queryGroups));
        }

        ILookup<int, int> items = Enumerable.Range(0, poolGroups.Count).ToLookup(j => poolGroups[j]);
        int[][] relevant = [.. queryGroups.Select(g => items[g].ToArray())];
        if (Array.Exists(relevant, r => r.Length == 0))
        {
            throw new ArgumentException("A query's group has no item in the pool.", nameof(poolGroups));
        }

        double[] precision = new double[scores.QueryCount];
        int[] firstPlaces = new int[scores.QueryCount];
        scores.ForEach((query, row) => (precision[query], firstPlaces[query]) = AveragePrecision(row, relevant[query]));
        return (precision, firstPlaces, Mean([.. relevant.Select(r => (double)r.Length)]));
    }

    /// <summary>
    /// xsim's error: the share of queries for which the best ratio margin among the 4 nearest by cosine is not the translation
    /// (LASER). Item i is the translation of query i.
    /// </summary>
    /// <param name="queries">(n, E) vectors.</param>
    /// <param name="pool">(n, E) vectors.</param>
    /// <returns>The error, a fraction of 1; NaN for no queries.</returns>
    /// <exception cref="ArgumentException">The sizes differ.</exception>
    public static double XsimError(EmbeddingMatrix queries, EmbeddingMatrix pool)
    {
        ArgumentNullException.ThrowIfNull(queries);
        ArgumentNullException.ThrowIfNull(pool);
        if (queries.Rows != pool.Rows)
        {
            throw new ArgumentException($"{queries.Rows} queries and {pool.Rows} translations do not pair up.", nameof(pool));
        }

        int[] top = Top1(new ScoreRows(queries, pool, SimilarityScore.Xsim));
        return top.Length == 0 ? double.NaN : (double)top.Where((t, i) => t != i).Count() / top.Length;
    }

    private static int Rank(ReadOnlySpan<double> scores, int target)
    {
        double own = scores[target];
        int rank = 0;
        foreach (double score in scores)
        {
            // Counts the target itself too, and every score that is NaN.
            rank += score < own ? 0 : 1;
        }

        return rank;
    }

    private static (double Precision, int FirstPlace) AveragePrecision(ReadOnlySpan<double> scores, int[] relevant)
    {
        double[] own = new double[relevant.Length];
        for (int r = 0; r < own.Length; r++)
        {
            own[r] = double.IsNaN(scores[relevant[r]]) ? double.NegativeInfinity : scores[relevant[r]];
        }

        Array.Sort(own, (x, y) => y.CompareTo(x));

        // ahead[r]: irrelevant items between relevant item r - 1 and r of the ranking.
        int[] ahead = new int[relevant.Length];
        HashSet<int> isRelevant = [.. relevant];
        for (int j = 0; j < scores.Length; j++)
        {
            if (isRelevant.Contains(j))
            {
                continue;
            }

            // The first relevant item that this one is not below.
            int low = 0;
            int high = own.Length;
            while (low < high)
            {
                int middle = (low + high) / 2;
                if (scores[j] < own[middle])
                {
                    low = middle + 1;
                }
                else
                {
                    high = middle;
                }
            }

            if (low < ahead.Length)
            {
                ahead[low]++;
            }
        }

        double sum = 0;
        int irrelevant = 0;
        for (int r = 0; r < own.Length; r++)
        {
            irrelevant += ahead[r];
            sum += (r + 1.0) / (irrelevant + r + 1);
        }

        return (sum / own.Length, ahead[0] + 1);
    }

    private static double Mean(double[] values) => values.Length == 0 ? double.NaN : values.Sum() / values.Length;
}
