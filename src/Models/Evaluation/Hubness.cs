using CrossAlign.Runtime;

namespace CrossAlign.Models.Evaluation;

/// <summary>Whether a few items are everybody's neighbours (Radovanovic et al. 2010).</summary>
/// <param name="InDegree">N(j): how many queries have item j among their k nearest.</param>
/// <param name="Skewness">m3 / m2^1.5 of N, population moments; 0 where N is constant.</param>
/// <param name="TopShare">The share of all neighbour places that the most frequent 1 % of the items hold.</param>
/// <param name="TopItems">How many items that 1 % is, rounded up.</param>
/// <param name="LargestInDegree">The largest N.</param>
public sealed record Hubness(IReadOnlyList<int> InDegree, double Skewness, double TopShare, int TopItems, int LargestInDegree)
{
    /// <summary>Hubs of a pool among its queries, by cosine.</summary>
    /// <param name="queries">(n, E) vectors.</param>
    /// <param name="pool">(m, E) vectors; the same object as <paramref name="queries"/> for hubs within one language, where a row is
    /// no neighbour of itself.</param>
    /// <param name="neighbours">k.</param>
    /// <param name="device">The processor to compute on; a temporary one where null.</param>
    /// <returns>The measures.</returns>
    /// <exception cref="ArgumentException">The widths differ or the pool is empty.</exception>
    public static Hubness Measure(EmbeddingMatrix queries, EmbeddingMatrix pool, int neighbours = 10, CpuDevice? device = null)
    {
        ArgumentNullException.ThrowIfNull(pool);
        if (pool.Rows == 0)
        {
            throw new ArgumentException("An empty pool has no hubs.", nameof(pool));
        }

        int[] inDegree = new int[pool.Rows];
        foreach (int[] row in NearestNeighbours.Find(queries, pool, neighbours, ReferenceEquals(queries, pool), device))
        {
            foreach (int j in row)
            {
                inDegree[j]++;
            }
        }

        double mean = inDegree.Average();
        double m2 = inDegree.Sum(x => (x - mean) * (x - mean)) / inDegree.Length;
        double m3 = inDegree.Sum(x => (x - mean) * (x - mean) * (x - mean)) / inDegree.Length;
        int top = (inDegree.Length + 99) / 100;
        int[] sorted = [.. inDegree.OrderDescending()];
        long total = sorted.Sum(x => (long)x);
        return new Hubness(
            inDegree,
            m2 == 0 ? 0 : m3 / Math.Pow(m2, 1.5),
            total == 0 ? 0 : (double)sorted.Take(top).Sum(x => (long)x) / total,
            top,
            sorted[0]);
    }
}
