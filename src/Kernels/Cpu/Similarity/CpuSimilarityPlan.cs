namespace CrossAlign.Kernels.Cpu.Similarity;

/// <summary>How a fused loss is cut up: the super-tile's extent, whether tiles are kept, and where everything lies in the workspace.</summary>
internal readonly unsafe struct CpuSimilarityPlan
{
    // The largest super-tile. Its logits (16 MiB) cross the third-level cache a few times, against 2 E operations an element; packed
    // operands are used some 2000 times.
    private const int MaxTile = 2064;
    private const int MinTile = 96;
    private const int TileStep = 48;

    // Columns whose positives are counted at a time: the rows are gone through once for each so many.
    private const int MaxCounted = 1 << 18;
    private const long Alignment = 64;

    private readonly SimilarityCrossEntropyOptions _options;
    private readonly int _rows;
    private readonly int _images;
    private readonly int _extras;

    /// <summary>Plans for at most these sizes.</summary>
    public CpuSimilarityPlan(SimilarityCrossEntropyOptions options, int rows, int images, int extras)
    {
        _options = options;
        _rows = rows;
        _images = images;
        _extras = extras;
        // The extent of a tile must not depend on the number of threads, or the bits would: what the products take is a constant here.
        long budget = checked(options.MemoryBudgetBytes + (32L * Math.Max(rows, images + extras))) - CpuSimilarityProducts.ScratchByteCount;
        CpuSimilarityState state = default;
        TileCapacity = MaxTile;
        while (TileCapacity > MinTile && Lay(ref state, 0) > budget)
        {
            TileCapacity -= TileStep;
        }

        // Forward and backward of a softmax need the similarities twice; where all of them fit they are kept.
        KeepsTiles = true;
        if (options.Objective == SimilarityCrossEntropyObjective.Sigmoid || Lay(ref state, 0) > budget)
        {
            KeepsTiles = false;
        }

        ByteCount = Lay(ref state, 0);
        if (ByteCount > budget)
        {
            throw new ArgumentException(
                $"MemoryBudgetBytes is {options.MemoryBudgetBytes}; {rows} rows and {images + extras} columns need {ByteCount - budget + options.MemoryBudgetBytes} at least.",
                nameof(options));
        }
    }

    /// <summary>The most rows and columns of a super-tile.</summary>
    public int TileCapacity { get; }

    /// <summary>Whether the logits of all super-tiles are kept between the two passes.</summary>
    public bool KeepsTiles { get; }

    /// <summary>Bytes of the workspace.</summary>
    public long ByteCount { get; }

    /// <summary>The first row or column of a piece of a side; pieces are as even as multiples of 48 allow (whole register tiles at every vector width).</summary>
    /// <param name="count">Rows or columns of the side.</param>
    /// <param name="piece">0 to <see cref="Pieces"/>.</param>
    /// <returns>Where it starts.</returns>
    public int PieceStart(int count, int piece)
    {
        int pieces = Pieces(count);
        int length = (((count + pieces - 1) / Math.Max(pieces, 1)) + 47) / 48 * 48;
        return (int)Math.Min(count, (long)length * piece);
    }

    /// <summary>Into how many pieces a side is cut.</summary>
    /// <param name="count">Rows or columns of the side.</param>
    /// <returns>The number.</returns>
    public int Pieces(int count) => (count + TileCapacity - 1) / TileCapacity;

    /// <summary>Cuts up the workspace. With address 0 only the size is of use.</summary>
    /// <param name="state">Its pointers are set.</param>
    /// <param name="address">Where the workspace begins.</param>
    /// <returns>How many bytes it takes.</returns>
    public long Lay(ref CpuSimilarityState state, nint address)
    {
        long offset = 0;
        int columns = _images + _extras;
        bool rowSide = _options.Direction != SimilarityCrossEntropyDirection.ImageToCaption;
        bool columnSide = _options.Direction != SimilarityCrossEntropyDirection.CaptionToImage && _options.Objective == SimilarityCrossEntropyObjective.Softmax;
        LaySide(ref state.Rows, _rows, rowSide, isColumns: false, address, ref offset);
        LaySide(ref state.Columns, columns, columnSide, isColumns: true, address, ref offset);

        int tile = TileCapacity;
        long allStrips = (tile + CpuSimilarityState.StripRows - 1) / CpuSimilarityState.StripRows;
        long strips = columnSide ? allStrips : 0;
        bool smoothing = _options.LabelSmoothing > 0;
        state.TileCapacity = tile;
        state.CountCapacity = CountCapacity(columns);
        state.Rows.Factors = Take<float>(tile, address, ref offset);
        state.Columns.Factors = Take<float>(tile, address, ref offset);
        state.StripMax = Take<float>(strips * tile, address, ref offset);
        state.StripSum = Take<float>(strips * tile, address, ref offset);
        state.StripPositive = _options.Groups == SimilarityCrossEntropyGroups.Shared ? Take<float>(strips * tile, address, ref offset) : null;
        state.StripLogitSum = smoothing ? Take<float>(allStrips * tile, address, ref offset) : null;
        state.StripParticipants = smoothing ? Take<float>(strips * tile, address, ref offset) : null;
        state.Unbounded = Take<float>(tile, address, ref offset);
        state.Partials = Take<double>(2 * CpuSimilarityState.MaxPartitions, address, ref offset);
        state.GroupIds = _options.Groups != SimilarityCrossEntropyGroups.None ? Take<int>((long)_rows + _images, address, ref offset) : null;
        if (KeepsTiles)
        {
            state.Kept = Take<float>((long)_rows * columns, address, ref offset);
            state.Tile = state.Kept;
        }
        else
        {
            state.Kept = null;
            state.Tile = Take<float>((long)Math.Min(tile, _rows) * Math.Min(tile, columns), address, ref offset);
        }

        return offset;
    }

    /// <summary>Takes aligned memory.</summary>
    public static T* Take<T>(long count, nint address, ref long offset)
        where T : unmanaged
    {
        T* taken = (T*)(address + (nint)offset);
        offset = checked(offset + (((count * sizeof(T)) + Alignment - 1) / Alignment * Alignment));
        return taken;
    }

    private int CountCapacity(int columns) => _options.Groups == SimilarityCrossEntropyGroups.Shared ? columns : Math.Min(columns, MaxCounted);

    private void LaySide(ref CpuSimilaritySide side, int count, bool active, bool isColumns, nint address, ref long offset)
    {
        bool sigmoid = _options.Objective == SimilarityCrossEntropyObjective.Sigmoid;
        bool shared = _options.Groups == SimilarityCrossEntropyGroups.Shared;
        side = default;
        side.Active = active;
        bool lossHere = active || (sigmoid && !isColumns);

        // The positives of a row are read in both directions: a column's loss needs the logits of its rows' targets.
        side.Max = lossHere ? Take<float>(count, address, ref offset) : null;
        side.Sum = lossHere ? Take<float>(count, address, ref offset) : null;
        side.Positive = !isColumns || lossHere ? Take<float>(count, address, ref offset) : null;
        side.Rstd = _options.Normalize ? Take<float>(count, address, ref offset) : null;
        side.LogitSum = lossHere && _options.LabelSmoothing > 0 ? Take<float>(count, address, ref offset) : null;
        side.Participants = lossHere && _options.LabelSmoothing > 0 ? Take<float>(count, address, ref offset) : null;
        side.Group = _options.Groups != SimilarityCrossEntropyGroups.None ? Take<float>(count, address, ref offset) : null;
        side.PositiveCount = isColumns && active ? Take<float>(CountCapacity(count), address, ref offset) : shared ? Take<float>(count, address, ref offset) : null;
        side.PositiveWeight = isColumns && active ? Take<float>(CountCapacity(count), address, ref offset) : null;
        side.Threshold = _options.FalseNegativeMargin is not null ? Take<float>(count, address, ref offset) : null;
        side.Inner = _options.Prefixes.Count > 1 ? Take<double>(count, address, ref offset) : null;
    }
}
