using System.Numerics;
using CrossAlign.Runtime;

namespace CrossAlign.Models.Evaluation;

/// <summary>Inner products of all rows of one matrix with all rows of another, made in tiles of rows and shown row by row.</summary>
internal static class SimilarityTiles
{
    // 256 rows against 10,000 are 10 MB: large enough for the matrix product to run at its best rate.
    private const int TileRows = 256;

    /// <summary>Sees one row of inner products; called from several threads at once, for different rows.</summary>
    /// <param name="row">The row of the left matrix.</param>
    /// <param name="products">Its inner product with each row of the right matrix; valid during the call only.</param>
    internal delegate void Visitor(int row, ReadOnlySpan<float> products);

    /// <summary>Computes all inner products in float32.</summary>
    /// <param name="left">(n, E) rows.</param>
    /// <param name="right">(m, E) rows.</param>
    /// <param name="device">The processor to compute on; a temporary one where null.</param>
    /// <param name="visit">Called once a row of <paramref name="left"/>.</param>
    internal static void ForEachRow(EmbeddingMatrix left, EmbeddingMatrix right, CpuDevice? device, Visitor visit)
    {
        ParallelOptions options = new() { MaxDegreeOfParallelism = device?.Workers.ThreadCount ?? Environment.ProcessorCount };
        int tiles = (left.Rows + TileRows - 1) / TileRows;
        Parallel.For(0, left.Rows, options, () => new float[right.Rows], (i, _, products) =>
        {
            for (int j = 0; j < right.Rows; j++)
            {
                products[j] = Dot(left.Row(i), right.Row(j));
            }

            visit(i, products);
            return products;
        }, _ => { });
    }

    private static float Dot(ReadOnlySpan<float> x, ReadOnlySpan<float> y)
    {
        Vector<float> sum = default;
        int j = 0;
        for (; j <= x.Length - Vector<float>.Count; j += Vector<float>.Count)
        {
            sum += new Vector<float>(x[j..]) * new Vector<float>(y[j..]);
        }

        float total = Vector.Sum(sum);
        for (; j < x.Length; j++)
        {
            total += x[j] * y[j];
        }

        return total;
    }
}
