namespace CrossAlign.Reference;

/// <summary>Retrieval by inner product, from the whole matrix of scores in double.</summary>
public static class RetrievalRanksReference
{
    public static int[] Ranks(double[] queries, double[] pool, int[] targets, int e)
    {
        int[] ranks = new int[targets.Length];
        for (int q = 0; q < targets.Length; q++)
        {
            double target = Score(queries, q, pool, targets[q], e);
            ranks[q] = 1;
            for (int j = 0; j < pool.Length / e; j++)
            {
                ranks[q] += j != targets[q] && !(Score(queries, q, pool, j, e) < target) ? 1 : 0;
            }
        }

        return ranks;
    }

    public static int[] Top(double[] queries, double[] pool, int count, int k, int e) =>
    [
        .. Enumerable.Range(0, count).SelectMany(q => Enumerable.Range(0, pool.Length / e)
            .Select(j => (Score: Score(queries, q, pool, j, e), Row: j))
            .OrderByDescending(x => double.IsNaN(x.Score) ? double.NegativeInfinity : x.Score)
            .ThenBy(x => x.Row)
            .Take(k)
            .Select(x => x.Row)),
    ];

    public static double Score(double[] queries, int q, double[] pool, int j, int e)
    {
        double dot = 0;
        for (int i = 0; i < e; i++)
        {
            dot += queries[(q * e) + i] * pool[(j * e) + i];
        }

        return dot;
    }
}
