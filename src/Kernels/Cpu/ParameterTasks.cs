namespace CrossAlign.Kernels.Cpu;

/// <summary>
/// Cuts a list of parameters into tasks of about equal size that depend on the shapes alone: pieces of one tensor, or of the rows of
/// a table. The list lies in the device's working memory, so that a step allocates nothing.
/// </summary>
internal static unsafe class ParameterTasks
{
    /// <summary>Elements of a task: some 30 microseconds of an optimiser step.</summary>
    private const int ElementsPerTask = 16 * 1024;

    /// <summary>Bytes that <see cref="Write"/> needs.</summary>
    public static long ByteCount(int parameters) => (long)parameters * sizeof(Item);

    /// <summary>The number of tasks, before the list is written.</summary>
    public static int Count(ReadOnlySpan<AdamWParameter> parameters, bool gradientsOnly)
    {
        long tasks = 0;
        foreach (AdamWParameter parameter in parameters)
        {
            (long units, long perTask) = Units(parameter, gradientsOnly);
            tasks += (units + perTask - 1) / perTask;
        }

        return checked((int)tasks);
    }

    /// <summary>Writes the list.</summary>
    /// <param name="parameters">The parameters.</param>
    /// <param name="gradientsOnly">Whether tables with sparse gradients count their touched rows only (for norms), or all rows (for steps).</param>
    /// <param name="items">Overwritten, one a parameter.</param>
    public static void Write(ReadOnlySpan<AdamWParameter> parameters, bool gradientsOnly, Item* items)
    {
        int task = 0;
        for (int i = 0; i < parameters.Length; i++)
        {
            AdamWParameter parameter = parameters[i];
            (long units, long perTask) = Units(parameter, gradientsOnly);
            RowSparseGradient sparse = parameter.SparseGradient;
            items[i] = new Item
            {
                FirstTask = task,
                Units = units,
                UnitsPerTask = perTask,
                Columns = sparse.IsPresent ? parameter.Weight.Shape[1] : 1,
                Weight = parameter.Weight.Pointer<float>(),
                Gradient = sparse.IsPresent ? sparse.Values.Pointer<float>() : parameter.Gradient.Pointer<float>(),
                RowIds = sparse.IsPresent ? sparse.RowIds.Pointer<int>() : null,
                RowCount = sparse.IsPresent ? *sparse.RowCount.Pointer<int>() : 0,
                FirstMoment = parameter.FirstMoment.Pointer<float>(),
                SecondMoment = parameter.SecondMoment.Pointer<float>(),
                WeightCopy = parameter.WeightCopy.IsPresent ? parameter.WeightCopy.Pointer<ushort>() : null,
            };
            task += (int)((units + perTask - 1) / perTask);
        }
    }

    /// <summary>The parameter that a task belongs to.</summary>
    public static Item* Find(Item* items, int count, int task)
    {
        int low = 0;
        int high = count - 1;
        while (low < high)
        {
            int middle = (low + high + 1) / 2;
            if (items[middle].FirstTask <= task)
            {
                low = middle;
            }
            else
            {
                high = middle - 1;
            }
        }

        return items + low;
    }

    private static (long Units, long PerTask) Units(AdamWParameter parameter, bool gradientsOnly)
    {
        RowSparseGradient sparse = parameter.SparseGradient;
        if (!sparse.IsPresent)
        {
            return (parameter.Weight.Count, ElementsPerTask);
        }

        int rowCount = *sparse.RowCount.Pointer<int>();
        if ((uint)rowCount > (uint)sparse.RowIds.Shape[0])
        {
            throw new ArgumentException($"A row-sparse gradient with room for {sparse.RowIds.Shape[0]} rows says that it has {rowCount}.", nameof(parameter));
        }

        return (gradientsOnly ? rowCount : parameter.Weight.Shape[0], Math.Max(1, ElementsPerTask / Math.Max(1, parameter.Weight.Shape[1])));
    }

    /// <summary>A parameter: its units (elements, or rows where the gradient is sparse) and where its tensors lie.</summary>
    internal struct Item
    {
        public int FirstTask;
        public int Columns;
        public long Units;
        public long UnitsPerTask;
        public float* Weight;
        public float* Gradient;
        public int* RowIds;
        public int RowCount;
        public float* FirstMoment;
        public float* SecondMoment;
        public ushort* WeightCopy;
        public float StepSize;
        public float Shrink;

        /// <summary>The bound that the result is cut to.</summary>
        public float Maximum;
    }
}
