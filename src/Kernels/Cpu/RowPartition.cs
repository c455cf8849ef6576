namespace CrossAlign.Kernels.Cpu;

/// <summary>
/// Cuts rows into partitions whose number depends on the rows alone, so that sums over partitions have the same bits for any
/// number of threads.
/// </summary>
internal readonly struct RowPartition
{
    private readonly int _rows;

    /// <summary>Cuts.</summary>
    /// <param name="rows">Rows, 0 or more.</param>
    /// <param name="minRows">Rows below which a partition is not worth starting.</param>
    /// <param name="maxPartitions">The most partitions; 32 keeps 16 threads busy with two each.</param>
    public RowPartition(int rows, int minRows, int maxPartitions = 32)
    {
        _rows = rows;
        Count = rows == 0 ? 0 : Math.Clamp((rows + minRows - 1) / minRows, 1, maxPartitions);
    }

    /// <summary>The number of partitions; 0 for no rows.</summary>
    public int Count { get; }

    /// <summary>The first row of a partition; that of partition <see cref="Count"/> is the number of rows.</summary>
    /// <param name="partition">0 to <see cref="Count"/>.</param>
    /// <returns>The row.</returns>
    public int Start(int partition) => (int)((long)_rows * partition / Count);
}
