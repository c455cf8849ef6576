using CrossAlign.Runtime;

namespace CrossAlign.Kernels.Cpu.Similarity;

/// <summary>
/// Everything that the phases of the fused loss read and write: pointers into the workspace, the variant, the scalars, and the
/// super-tile at hand. It lies on the stack of the caller; the tasks see its address.
/// </summary>
internal unsafe struct CpuSimilarityState
{
    public CpuSimilaritySide Rows;
    public CpuSimilaritySide Columns;

    // The problem.
    public DType DType;

    // Whether what enters a product is rounded to bfloat16: embeddings wherever they are read, gradients of logits in the products.
    public bool Round;
    public int E;
    public int Width;
    public int ImageCount;
    public int* Targets;
    public float* RowWeights;
    public int* CaptionGroups;
    public int* ImageGroups;

    // The variant.
    public bool Sigmoid;
    public bool Normalize;
    public bool DivideByRowCount;
    public SimilarityCrossEntropyGroups Groups;
    public float Smoothing;
    public float Margin;
    public bool HasMargin;
    public bool WantsGradients;

    // The columns whose positives are counted in Columns.PositiveCount and PositiveWeight begin here; there is room for so many.
    public int FirstCounted;
    public int CountCapacity;

    // Scalars. The false-negative mask compares similarities by their logits: with a scale of 0 by those of a tiny one, whose softmax is the
    // same to the bit, and with a negative one by their opposites. Gradients are multiplied by the scale that was given.
    public float Scale;
    public float GradientScale;
    public float ThresholdSign;
    public float Bias;
    public float PrefixWeight;

    // The super-tile: logits, then gradients, of rows FirstRow... and columns FirstColumn... (both global).
    public float* Tile;
    public int FirstRow;
    public int TileRows;
    public int FirstColumn;
    public int TileColumns;
    public bool TileHoldsLogits;
    public void* Captions;
    public void* Images;
    public float* DCaptions;
    public float* DImages;
    public bool OverwritesDCaptions;
    public bool OverwritesDImages;

    // Working memory of a super-tile.
    public float* StripMax;
    public float* StripSum;
    public float* StripPositive;
    public float* StripLogitSum;
    public float* StripParticipants;
    public float* Unbounded;
    public int TileCapacity;
    public float* Kept;
    public int* GroupIds;

    /// <summary>Additions and multiplications of the matrix products so far.</summary>
    public long OperationCount;

    // The second pass, where one exponential serves both directions: the columns' highest and lowest maxima in the super-tile.
    public bool SharesExponentials;
    public float HighestColumn;
    public float LowestColumn;

    // Sums over a side's lines, one a partition.
    public double* Partials;

    /// <summary>Rows that one task sweeps.</summary>
    public const int StripRows = 32;

    /// <summary>Partitions of a side's lines; see <see cref="RowPartition"/>.</summary>
    public const int MaxPartitions = 32;

    /// <summary>Whether the same logits take part for rows and for columns: both have a loss, and what takes part in the one does in the other.</summary>
    public readonly bool RowsAndColumnsAgree => Rows.Active && Columns.Active && !HasMargin && !(Smoothing > 0);

    /// <summary>How many strips the super-tile has.</summary>
    public readonly int Strips => (TileRows + StripRows - 1) / StripRows;

    /// <summary>The column that is a row's positive; -1 for an ignored row or where groups decide.</summary>
    public readonly int Target(int row) =>
        Groups == SimilarityCrossEntropyGroups.Shared ? -1
        : Targets == null ? row
        : Targets[row] == SimilarityCrossEntropy.IgnoreIndex ? -1
        : Targets[row];

    /// <summary>A row's weight; 0 where it is ignored.</summary>
    public readonly float RowWeight(int row) =>
        Targets != null && Targets[row] == SimilarityCrossEntropy.IgnoreIndex ? 0
        : RowWeights == null ? 1
        : RowWeights[row];

    /// <summary>How many columns are a row's positives.</summary>
    public readonly float RowPositives(int row) =>
        Targets != null && Targets[row] == SimilarityCrossEntropy.IgnoreIndex ? 0
        : Rows.PositiveCount == null ? 1
        : Rows.PositiveCount[row];

    /// <summary>How many rows are the positives of one of the columns that were counted last.</summary>
    public readonly float ColumnPositives(int column) => column >= ImageCount ? 0 : Columns.PositiveCount[column - FirstCounted];

    /// <summary>The weight of one of the columns that were counted last: the mean of its positives' weights.</summary>
    public readonly float ColumnWeight(int column) =>
        ColumnPositives(column) == 0 ? 0 : Columns.PositiveWeight[column - FirstCounted] / Columns.PositiveCount[column - FirstCounted];

    /// <summary>After the merge, where <see cref="CpuSimilaritySide.HasAbsent"/>: whether a row has no part in the loss.</summary>
    public readonly bool IsAbsentRow(int row) => Rows.Positive[row] == 0 && (Sigmoid || Rows.Sum[row] == 0);

    /// <summary>After the merge, where <see cref="CpuSimilaritySide.HasAbsent"/>: whether a column has no part in the loss.</summary>
    public readonly bool IsAbsentColumn(int column) => Columns.Positive[column] == 0 && Columns.Sum[column] == 0;
}
