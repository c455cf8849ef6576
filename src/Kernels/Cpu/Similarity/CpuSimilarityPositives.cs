namespace CrossAlign.Kernels.Cpu.Similarity;

/// <summary>
/// How many rows are the positives of a column, and their weights. They are counted for some columns at a time, as the merge comes to them: a batch of
/// any size takes the same memory. With shared groups, whose members are counted once for all, they are there for all columns.
/// </summary>
internal static unsafe class CpuSimilarityPositives
{
    /// <summary>Sees to it that a column is among those that are counted.</summary>
    public static void Bring(CpuSimilarityState* s, int column)
    {
        bool isCounted = column >= s->FirstCounted && column < s->FirstCounted + s->CountCapacity;
        if (!isCounted && column < s->ImageCount)
        {
            Count(s, column / s->CountCapacity * s->CountCapacity);
        }
    }

    /// <summary>Counts for the columns from one on, as many as there is room for. Not with shared groups.</summary>
    public static void Count(CpuSimilarityState* s, int first)
    {
        int count = Math.Min(s->CountCapacity, s->ImageCount - first);
        s->FirstCounted = first;
        new Span<float>(s->Columns.PositiveCount, count).Clear();
        new Span<float>(s->Columns.PositiveWeight, count).Clear();
        for (int i = 0; i < s->Rows.Count; i++)
        {
            int at = s->Target(i) - first;
            if ((uint)at < (uint)count)
            {
                s->Columns.PositiveCount[at] += 1;
                s->Columns.PositiveWeight[at] += s->RowWeight(i);
            }
        }
    }
}
