using CrossAlign.Kernels;
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

    /// <summary>Computes all inner products in float32; each depends to the bit on its own two rows alone.</summary>
    /// <param name="left">(n, E) rows.</param>
    /// <param name="right">(m, E) rows.</param>
    /// <param name="device">The processor to compute on; a temporary one with all threads where null.</param>
    /// <param name="visit">Called once a row of <paramref name="left"/>.</param>
    internal static void ForEachRow(EmbeddingMatrix left, EmbeddingMatrix right, CpuDevice? device, Visitor visit)
    {
        if (device is null)
        {
            using CpuDevice temporary = new();
            ForEachRow(left, right, temporary, visit);
            return;
        }

        int tileRows = Math.Min(TileRows, left.Rows);
        using DeviceMemory leftMemory = device.Allocate((long)tileRows * left.Columns * sizeof(float));
        using DeviceMemory rightMemory = device.Allocate((long)right.Rows * right.Columns * sizeof(float));
        using DeviceMemory productMemory = device.Allocate((long)tileRows * right.Rows * sizeof(float));
        Tensor rightRows = new(rightMemory, 0, DType.Float32, new Shape(right.Rows, right.Columns));
        rightRows.CopyFrom(right.Values);
        ParallelOptions options = new() { MaxDegreeOfParallelism = device.Workers.ThreadCount };
        for (int start = 0; start < left.Rows; start += tileRows)
        {
            int first = start;
            int count = Math.Min(tileRows, left.Rows - start);
            Tensor leftRows = new(leftMemory, 0, DType.Float32, new Shape(count, left.Columns));
            leftRows.CopyFrom(left.Values.Slice(start * left.Columns, count * left.Columns));
            Tensor products = new(productMemory, 0, DType.Float32, new Shape(count, right.Rows));
            MatMul.Run(leftRows, rightRows, products, MatMulLayout.NT);
            Parallel.For(0, count, options, i => visit(first + i, products.AsSpan<float>().Slice(i * right.Rows, right.Rows)));
        }
    }
}
