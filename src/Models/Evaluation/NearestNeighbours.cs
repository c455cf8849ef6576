using CrossAlign.Runtime;

namespace CrossAlign.Models.Evaluation;

/// <summary>The nearest rows by cosine or another similarity; among equals the smaller index is the nearer one.</summary>
public static class NearestNeighbours
{
    /// <summary>The rows of a pool that are nearest to each query by cosine.</summary>
    /// <param name="queries">(n, E) vectors.</param>
    /// <param name="pool">(m, E) vectors.</param>
    /// <param name="count">Neighbours a query; shrinks to what there is.</param>
    /// <param name="excludeSelf">Leaves row i of the pool out for query i (both sides are the same vectors).</param>
    /// <param name="device">The processor to compute on; a temporary one where null.</param>
    /// <returns>One array a query, nearest first.</returns>
    /// <exception cref="ArgumentException">The widths differ.</exception>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="count"/> is below 1.</exception>
    public static int[][] Find(EmbeddingMatrix queries, EmbeddingMatrix pool, int count, bool excludeSelf = false, CpuDevice? device = null)
    {
        ArgumentNullException.ThrowIfNull(queries);
        ArgumentNullException.ThrowIfNull(pool);
        ArgumentOutOfRangeException.ThrowIfLessThan(count, 1);
        if (queries.Columns != pool.Columns)
        {
            throw new ArgumentException($"Vectors of width {queries.Columns} and {pool.Columns} cannot be compared.", nameof(pool));
        }

        int[][] nearest = new int[queries.Rows][];
        SimilarityTiles.ForEachRow(queries.Normalized(), pool.Normalized(), device, (i, similarities) =>
        {
            int[] row = new int[Math.Min(count, similarities.Length)];
            nearest[i] = row[..Find(similarities, row, excludeSelf ? i : -1)];
        });
        return nearest;
    }

    /// <summary>The places of the largest values, largest first, the smaller index first among equals.</summary>
    /// <param name="values">The values.</param>
    /// <param name="destination">Overwritten with up to its length indices.</param>
    /// <param name="excluded">An index to leave out, or -1.</param>
    /// <returns>How many were written: fewer than the length where there are not as many values.</returns>
    internal static int Find(ReadOnlySpan<float> values, Span<int> destination, int excluded = -1)
    {
        int held = 0;
        for (int j = 0; j < values.Length; j++)
        {
            // A NaN is near to nothing: it never displaces a number and enters only where places are free.
            if (j == excluded || (held == destination.Length && !(values[j] > values[destination[held - 1]])))
            {
                continue;
            }

            int place = held == destination.Length ? held - 1 : held++;
            while (place > 0 && values[j] > values[destination[place - 1]])
            {
                destination[place] = destination[place - 1];
                place--;
            }

            destination[place] = j;
        }

        return held;
    }

    /// <summary>The mean of the largest values, in double.</summary>
    /// <param name="values">The values.</param>
    /// <param name="count">How many of the largest; shrinks to what there is. At most 32.</param>
    /// <returns>The mean; 0 for no values.</returns>
    internal static double MeanOfLargest(ReadOnlySpan<float> values, int count)
    {
        Span<int> nearest = stackalloc int[Math.Min(count, 32)];
        int held = Find(values, nearest);
        double sum = 0;
        for (int i = 0; i < held; i++)
        {
            sum += values[nearest[i]];
        }

        return held == 0 ? 0 : sum / held;
    }
}
