namespace CrossAlign.Kernels.Cuda;

/// <summary>
/// How a fused loss is cut up on a CUDA device: the super-tile's extent, whether logits are kept, and where everything lies in the
/// workspace (offsets in bytes). Where super-tiles end changes no bit: they are whole tiles, and a sum over several continues in order. The
/// products take nothing of the device's scratch, as their operands lie packed in the workspace.
/// </summary>
internal sealed class CudaSimilarityPlan
{
    /// <summary>Rows and columns of a block's tile, as in tile_product.cuh.</summary>
    public const int BlockTile = 128;

    /// <summary>As in similarity_cross_entropy_lines.cu: lines whose losses make a term of their sum.</summary>
    public const int RowsPerTerm = 256;

    /// <summary>Likewise of the columns.</summary>
    public const int ColumnsPerTerm = BlockTile;

    /// <summary>How many doubles the kernels keep of a call, as in similarity_cross_entropy_lines.cu.</summary>
    public const int NumberCount = 8;

    // As in similarity.cuh: before the pieces' counts.
    private const int CallCounts = 4;

    // 32 x 32 blocks: nine waves and a half on an A100. Super-tiles are whole tiles, so that the same tiles lie inside the matrix, and the same
    // steps of depth make a sum, wherever they end.
    private const int MaxTile = 4096;
    private const long Alignment = 256;

    // As in similarity.cuh: arrays of a side, and kinds of partials of a tile's lines. The fifth is a threshold or, of shared groups, which have none, a count.
    private const int PlainArrays = 4;
    private const int ArraysWithFifth = 5;
    private const int AllArrays = 7;
    private const int AtHandArrays = 2;
    private const int AllPartials = 7;
    private const int SigmoidPartials = 2;
    private const int RowPartials = 4;
    private const int ColumnPartials = 5;

    private readonly SimilarityCrossEntropyOptions _options;
    private readonly int _rows;
    private readonly int _extras;
    private readonly int _width;

    /// <summary>Plans for at most these sizes.</summary>
    /// <exception cref="ArgumentException">The budget is too small.</exception>
    public CudaSimilarityPlan(SimilarityCrossEntropyOptions options, int rows, int images, int extras, int width)
    {
        _options = options;
        _rows = rows;
        _extras = extras;
        _width = width;
        FirstExtra = Padded(images);
        ColumnRoom = FirstExtra + Padded(extras);
        long budget = checked(options.MemoryBudgetBytes + (32L * Math.Max(rows, images + extras)));
        TileCapacity = MaxTile;
        while (TileCapacity > BlockTile && Lay() > budget)
        {
            TileCapacity -= BlockTile;
        }

        // Forward and backward of a softmax need the similarities twice; where all of them fit they are kept.
        KeepsTiles = options.Objective == SimilarityCrossEntropyObjective.Softmax;
        KeepsTiles = KeepsTiles && Lay() <= budget;
        ByteCount = Lay();
        if (ByteCount > budget)
        {
            throw new ArgumentException(
                $"MemoryBudgetBytes is {options.MemoryBudgetBytes}; {rows} rows and {images + extras} columns need {ByteCount - budget + options.MemoryBudgetBytes} at least.",
                nameof(options));
        }
    }

    /// <summary>The most rows and columns of a super-tile.</summary>
    public int TileCapacity { get; private set; }

    /// <summary>The column where extra negatives begin, behind the room for images: even, as pairs of columns are loaded at once.</summary>
    public int FirstExtra { get; }

    /// <summary>Columns that the statistics, and the kept logits, have room for.</summary>
    public int ColumnRoom { get; }

    /// <summary>Whether the logits of all super-tiles are kept between the two passes.</summary>
    public bool KeepsTiles { get; }

    /// <summary>Bytes of the workspace.</summary>
    public long ByteCount { get; }

    /// <summary>Floats from one array of the rows' side to the next.</summary>
    public int RowStride { get; private set; }

    /// <summary>Floats from one array of the columns' side to the next.</summary>
    public int ColumnStride { get; private set; }

    public long Values { get; private set; }

    public long Numbers { get; private set; }

    /// <summary>The numbers of lines and of lines of each piece, as in similarity.cuh.</summary>
    public long Counts { get; private set; }

    public long RowSide { get; private set; }

    public long ColumnSide { get; private set; }

    /// <summary>Of the columns at hand: their numbers of positives and, <see cref="TileCapacity"/> behind, sums of their weights.</summary>
    public long AtHand { get; private set; }

    /// <summary>Terms of the rows' losses.</summary>
    public long RowTerms { get; private set; }

    /// <summary>Terms of the columns' losses, or, of the sigmoid, of the bias's gradient.</summary>
    public long ColumnTerms { get; private set; }

    /// <summary>Terms of the columns' weights.</summary>
    public long ColumnWeights { get; private set; }

    public long RowInner { get; private set; }

    public long ColumnInner { get; private set; }

    public long RowPartialsOffset { get; private set; }

    public long ColumnPartialsOffset { get; private set; }

    public long Captions { get; private set; }

    public long Images { get; private set; }

    public long Tile { get; private set; }

    public long Kept { get; private set; }

    /// <summary>From the start of a piece of a side to that of the next: whole tiles, as even as they allow.</summary>
    /// <param name="count">Rows or columns of the side.</param>
    /// <returns>Lines; 0 where there are none.</returns>
    public int PieceLength(int count)
    {
        int pieces = Math.Max(1, Pieces(count));
        return WholeTiles((count + pieces - 1) / pieces);
    }

    /// <summary>Into how many pieces a side is cut.</summary>
    /// <param name="count">Rows or columns of the side.</param>
    /// <returns>The number.</returns>
    public int Pieces(int count) => (count + TileCapacity - 1) / TileCapacity;

    /// <summary>Elements from row to row of packed embeddings: whole 16-byte pieces in either type.</summary>
    /// <param name="width">Of the prefix.</param>
    /// <returns>The stride.</returns>
    public static int PackedStride(int width) => Padded(width);

    private long Lay()
    {
        bool sigmoid = _options.Objective == SimilarityCrossEntropyObjective.Sigmoid;
        bool smoothing = _options.LabelSmoothing > 0;
        bool hasFifth = _options.FalseNegativeMargin is not null || _options.Groups == SimilarityCrossEntropyGroups.Shared;
        int arrays = smoothing ? AllArrays : hasFifth ? ArraysWithFifth : PlainArrays;
        int tileRows = Math.Min(TileCapacity, WholeTiles(_rows));
        int tileColumns = Math.Min(TileCapacity, WholeTiles(Math.Max(FirstExtra, _extras)));
        long rowPartials = sigmoid ? SigmoidPartials : smoothing ? AllPartials : RowPartials;
        long columnPartials = sigmoid ? 0 : smoothing ? AllPartials : ColumnPartials;
        bool severalPrefixes = _options.Prefixes.Count > 1;
        RowStride = Padded(_rows);
        ColumnStride = ColumnRoom;
        long offset = 0;
        Values = Take(16 * sizeof(float), ref offset);
        Numbers = Take(NumberCount * sizeof(double), ref offset);
        Counts = Take((CallCounts + Pieces(_rows) + Pieces(FirstExtra) + Pieces(_extras)) * sizeof(int), ref offset);
        RowSide = Take((long)arrays * RowStride * sizeof(float), ref offset);
        ColumnSide = Take((long)arrays * ColumnStride * sizeof(float), ref offset);
        AtHand = Take(sigmoid ? 0 : (long)AtHandArrays * TileCapacity * sizeof(float), ref offset);
        int rowTerms = CudaKernels.Blocks(_rows, RowsPerTerm);
        int columnTerms = CudaKernels.Blocks(FirstExtra, ColumnsPerTerm);
        RowTerms = Take((long)rowTerms * sizeof(double), ref offset);
        ColumnTerms = Take((long)(sigmoid ? rowTerms : columnTerms) * sizeof(double), ref offset);
        ColumnWeights = Take((long)(sigmoid ? 0 : columnTerms) * sizeof(double), ref offset);
        RowInner = Take(severalPrefixes ? (long)_rows * sizeof(double) : 0, ref offset);
        ColumnInner = Take(severalPrefixes ? (long)ColumnRoom * sizeof(double) : 0, ref offset);
        RowPartialsOffset = Take(rowPartials * CudaKernels.Blocks(tileColumns, BlockTile) * TileCapacity * sizeof(float), ref offset);
        ColumnPartialsOffset = Take(columnPartials * CudaKernels.Blocks(tileRows, BlockTile) * TileCapacity * sizeof(float), ref offset);
        Captions = Take((long)tileRows * PackedStride(_width) * sizeof(float), ref offset);
        Images = Take((long)tileColumns * PackedStride(_width) * sizeof(float), ref offset);
        Tile = Take((long)tileRows * tileColumns * sizeof(float), ref offset);
        Kept = Take(KeepsTiles ? (long)_rows * ColumnRoom * sizeof(float) : 0, ref offset);
        return offset;
    }

    private static int WholeTiles(int count) => checked((count + BlockTile - 1) / BlockTile * BlockTile);

    private static int Padded(int count) => checked((count + 7) / 8 * 8);

    private static long Take(long byteCount, ref long offset)
    {
        long taken = offset;
        offset = checked(offset + ((byteCount + Alignment - 1) / Alignment * Alignment));
        return taken;
    }
}
