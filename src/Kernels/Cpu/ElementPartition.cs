namespace CrossAlign.Kernels.Cpu;

/// <summary>
/// Cuts the elements of a tensor into partitions whose number depends on the elements alone. Partitions start at multiples of 16
/// elements, the widest vector, so that only the last one has a tail.
/// </summary>
internal readonly struct ElementPartition
{
    private const int Granule = 16;

    private readonly long _elements;

    /// <summary>Cuts.</summary>
    /// <param name="elements">Elements, 0 or more.</param>
    /// <param name="minElements">Elements below which a partition is not worth starting: 32K move 256 KB, some 20 microseconds.</param>
    /// <param name="maxPartitions">The most partitions; 32 keeps 16 threads busy with two each.</param>
    public ElementPartition(long elements, int minElements = 32 * 1024, int maxPartitions = 32)
    {
        _elements = elements;
        Count = elements == 0 ? 0 : (int)Math.Clamp((elements + minElements - 1) / minElements, 1, maxPartitions);
    }

    /// <summary>The number of partitions; 0 for no elements.</summary>
    public int Count { get; }

    /// <summary>The first element of a partition; that of partition <see cref="Count"/> is the number of elements.</summary>
    /// <param name="partition">0 to <see cref="Count"/>.</param>
    /// <returns>The element.</returns>
    public long Start(int partition) =>
        partition == Count ? _elements : _elements / Granule * partition / Count * Granule;
}
