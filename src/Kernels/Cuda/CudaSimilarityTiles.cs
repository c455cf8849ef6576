namespace CrossAlign.Kernels.Cuda;

/// <summary>
/// Goes through the super-tiles of a block, the columns' pieces one after the other and each with all pieces of the rows, and lays their
/// embeddings out for the products. Both passes go the same way, which is the order in which lines are merged and gradients added.
/// </summary>
internal struct CudaSimilarityTiles
{
    private readonly CudaSimilarityCall _call;
    private readonly CudaSimilarityBlock _block;
    private readonly bool _forGradients;
    private int _column = -1;
    private int _row;

    /// <summary>Stands before the first super-tile.</summary>
    /// <param name="call">The call.</param>
    /// <param name="block">The columns.</param>
    /// <param name="width">Of the prefix.</param>
    /// <param name="forGradients">Whether products of gradients read the embeddings: lines that have no part in the loss are zeros then.</param>
    public CudaSimilarityTiles(in CudaSimilarityCall call, in CudaSimilarityBlock block, int width, bool forGradients)
    {
        _forGradients = forGradients;
        _call = call;
        _block = block;
        Width = width;
        _row = call.Plan.Pieces(call.RowCount);
    }

    /// <summary>Of the prefix: the depth of the similarities.</summary>
    public int Width { get; }

    public CudaSimilarityPiece Rows { get; private set; }

    public CudaSimilarityPiece Columns { get; private set; }

    public CudaSimilarityOperand Captions { get; private set; }

    public CudaSimilarityOperand Images { get; private set; }

    /// <summary>The super-tile's first column of the whole matrix.</summary>
    public readonly int FirstColumn => _block.FirstColumn + Columns.First;

    /// <summary>Whether no further rows follow with these columns.</summary>
    public readonly bool IsLastOfColumns => _row == _call.Plan.Pieces(_call.RowCount) || _call.RowPiece(_row).Count == 0;

    /// <summary>Operations of the similarities.</summary>
    public readonly long OperationCount => 2L * Rows.Count * Columns.Count * Width;

    /// <summary>Goes to the next super-tile.</summary>
    /// <returns>Whether there is one.</returns>
    public bool Next()
    {
        while (true)
        {
            if (_row == _call.Plan.Pieces(_call.RowCount))
            {
                if (++_column == _call.Plan.Pieces(_block.ColumnCount))
                {
                    return false;
                }

                Columns = _call.ColumnPiece(_block.IsExtra, _column);
                if (Columns.Count == 0)
                {
                    continue;
                }

                Images = _call.Operand(_block.Images, Columns, Width, isImages: true, _forGradients && !_block.IsExtra && _call.MayHaveAbsentColumns);
                _row = 0;
            }

            Rows = _call.RowPiece(_row++);
            if (Rows.Count > 0)
            {
                Captions = _call.Operand(_block.Captions, Rows, Width, isImages: false, _forGradients && _call.MayHaveAbsentRows);
                return true;
            }
        }
    }
}
