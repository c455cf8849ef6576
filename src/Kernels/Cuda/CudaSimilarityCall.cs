using CrossAlign.Runtime;
using CrossAlign.Runtime.Cuda;

namespace CrossAlign.Kernels.Cuda;

/// <summary>One call of the fused loss on a CUDA device: the variant, and where everything lies; see <c>similarity.cuh</c>.</summary>
internal readonly struct CudaSimilarityCall
{
    // As in similarity.cuh.
    public const int RowsActive = 1;
    public const int ColumnsActive = 2;
    public const int Sigmoid = 4;
    public const int Normalize = 8;
    public const int MaskedGroups = 16;
    public const int SharedGroups = 32;
    public const int Smoothing = 64;
    public const int Margin = 128;
    public const int DivideByRowCount = 256;
    public const int Logarithm = 512;
    public const int RoundToBFloat16 = 1024;
    public const int StoreGradients = 2048;
    private const int RstdArray = 3;
    private const int RowCountAt = 0;
    private const int ImageCountAt = 1;
    private const int ExtraCountAt = 2;
    private const int PieceCountsAt = 4;

    private readonly nint _address;
    private readonly Tensor _targets;
    private readonly Tensor _rowWeights;
    private readonly Tensor _captionGroups;
    private readonly Tensor _imageGroups;
    private readonly LiveRows? _liveCaptions;
    private readonly LiveRows? _liveImages;
    private readonly LiveRows? _liveExtras;

    public CudaSimilarityCall(SimilarityCrossEntropyWorkspace workspace, in SimilarityCrossEntropyInputs inputs, bool backward)
    {
        SimilarityCrossEntropyOptions options = workspace.Options;
        Device = (CudaDevice)workspace.Device;
        Plan = workspace.CudaPlan!;
        _address = workspace.Address;
        _targets = inputs.Targets;
        _rowWeights = inputs.RowWeights;
        _captionGroups = inputs.CaptionGroups;
        _imageGroups = inputs.ImageGroups;
        DType = inputs.Captions.DType;
        E = workspace.Width;
        RowCount = inputs.Captions.Shape[0];
        ImageCount = inputs.Images.Shape[0];
        ExtraCount = inputs.ExtraNegatives.IsPresent ? inputs.ExtraNegatives.Shape[0] : 0;
        _liveCaptions = inputs.Captions.LiveRows;
        _liveImages = inputs.Images.LiveRows;
        _liveExtras = inputs.ExtraNegatives.LiveRows;
        bool sigmoid = options.Objective == SimilarityCrossEntropyObjective.Sigmoid;
        bool rounds = Device.MatMulPrecision == MatMulPrecision.BFloat16;
        ElementType = rounds ? DType.BFloat16 : DType.Float32;
        Flags = (!sigmoid && options.Direction != SimilarityCrossEntropyDirection.ImageToCaption ? RowsActive : 0)
            | (!sigmoid && options.Direction != SimilarityCrossEntropyDirection.CaptionToImage ? ColumnsActive : 0)
            | (sigmoid ? Sigmoid : 0)
            | (options.Normalize ? Normalize : 0)
            | (options.Groups == SimilarityCrossEntropyGroups.Masked ? MaskedGroups : 0)
            | (options.Groups == SimilarityCrossEntropyGroups.Shared ? SharedGroups : 0)
            | (options.LabelSmoothing > 0 ? Smoothing : 0)
            | (options.FalseNegativeMargin is not null ? Margin : 0)
            | (options.DivideByRowCount ? DivideByRowCount : 0)
            | (options.Scale == SimilarityCrossEntropyScale.Logarithm ? Logarithm : 0)
            | (rounds ? RoundToBFloat16 : 0)
            | (backward ? StoreGradients : 0);
    }

    public CudaDevice Device { get; }

    public CudaSimilarityPlan Plan { get; }

    public DType DType { get; }

    /// <summary>What the products multiply: bfloat16 where the device rounds to it, else float32 (which TF32 rounds on the way).</summary>
    public DType ElementType { get; }

    public int E { get; }

    /// <summary>Captions, or room for them; so are <see cref="ImageCount"/> and <see cref="ExtraCount"/>.</summary>
    public int RowCount { get; }

    public int ImageCount { get; }

    public int ExtraCount { get; }

    /// <summary>Columns that have statistics, whether they are there or not.</summary>
    public int ColumnRoom => Plan.ColumnRoom;

    /// <summary>Whether the device says how many rows or columns there are.</summary>
    public bool IsLive => _liveCaptions is not null || _liveImages is not null || _liveExtras is not null;

    public int Flags { get; }

    /// <summary>Whether a row may have no part in the loss, neither with one of its own nor as a negative of the columns.</summary>
    public bool MayHaveAbsentRows => (Flags & ColumnsActive) == 0 && IsUneven;

    /// <summary>Whether a column may have no part in the loss: one without a positive, where rows have no loss.</summary>
    public bool MayHaveAbsentColumns => (Flags & ColumnsActive) != 0 && (Flags & RowsActive) == 0 && (IsUneven || IsLive || ImageCount > RowCount);

    private bool IsUneven => _targets.IsPresent || _rowWeights.IsPresent || (Flags & SharedGroups) != 0;

    public nint Values => _address + (nint)Plan.Values;

    public nint Numbers => _address + (nint)Plan.Numbers;

    public nint AtHand => _address + (nint)Plan.AtHand;

    public nint RowTerms => _address + (nint)Plan.RowTerms;

    public nint ColumnTerms => _address + (nint)Plan.ColumnTerms;

    public nint ColumnWeights => _address + (nint)Plan.ColumnWeights;

    /// <summary>After a prefix's gradients a double a row, in place of its first two arrays, which are of no use any more.</summary>
    public nint RowInnerTerms => _address + (nint)Plan.RowSide;

    /// <summary>The same of the columns.</summary>
    public nint ColumnInnerTerms => _address + (nint)Plan.ColumnSide;

    public nint RowInner => _address + (nint)Plan.RowInner;

    public nint ColumnInner => _address + (nint)Plan.ColumnInner;

    public nint RowPartials => _address + (nint)Plan.RowPartialsOffset;

    public nint ColumnPartials => _address + (nint)Plan.ColumnPartialsOffset;

    public nint Tile => _address + (nint)Plan.Tile;

    /// <summary>Where the device has the number of captions.</summary>
    public nint Rows => CountAt(RowCountAt);

    /// <summary>That of the images, or of the extra negatives.</summary>
    /// <param name="extra">Which.</param>
    public nint Columns(bool extra) => CountAt(extra ? ExtraCountAt : ImageCountAt);

    public nint RowRstd => _address + (nint)Plan.RowSide + (nint)((long)RstdArray * Plan.RowStride * sizeof(float));

    public nint ColumnRstd => _address + (nint)Plan.ColumnSide + (nint)((long)RstdArray * Plan.ColumnStride * sizeof(float));

    /// <summary>The kernels of the tiles, by the device's precision.</summary>
    public CudaKernel TileKernel(bool gradients) => (Device.MatMulPrecision, gradients) switch
    {
        (MatMulPrecision.BFloat16, false) => CudaKernels.Get(Device, "similarity_cross_entropy", "similarity_stats_bf16"),
        (MatMulPrecision.Tf32, false) => CudaKernels.Get(Device, "similarity_cross_entropy", "similarity_stats_tf32"),
        (_, false) => CudaKernels.Get(Device, "similarity_cross_entropy", "similarity_stats_f32"),
        (MatMulPrecision.BFloat16, true) => CudaKernels.Get(Device, "similarity_cross_entropy_gradients", "similarity_gradients_bf16"),
        (MatMulPrecision.Tf32, true) => CudaKernels.Get(Device, "similarity_cross_entropy_gradients", "similarity_gradients_tf32"),
        _ => CudaKernels.Get(Device, "similarity_cross_entropy_gradients", "similarity_gradients_f32"),
    };

    /// <summary>Adds CROSSALIGN_SIMILARITY_PARAMETERS.</summary>
    public void AddProblem(ref KernelArguments arguments)
    {
        arguments.Add(Flags);
        arguments.AddAddress(CountAt(0));
        arguments.AddAddress(Values);
        arguments.Add(_targets);
        arguments.Add(_rowWeights);
        arguments.Add(_captionGroups);
        arguments.Add(_imageGroups);
        arguments.AddAddress(_address + (nint)Plan.RowSide);
        arguments.Add(Plan.RowStride);
        arguments.AddAddress(_address + (nint)Plan.ColumnSide);
        arguments.Add(Plan.ColumnStride);
    }

    /// <summary>Adds what similarity_counts takes.</summary>
    public void AddCounts(ref KernelArguments arguments)
    {
        arguments.AddAddress(CountAt(0));
        arguments.AddAddress(_liveCaptions?.Count.Address ?? 0);
        arguments.AddAddress(_liveImages?.Count.Address ?? 0);
        arguments.AddAddress(_liveExtras?.Count.Address ?? 0);
        arguments.Add(RowCount);
        arguments.Add(ImageCount);
        arguments.Add(ExtraCount);
        arguments.Add(ColumnRoom);
        arguments.Add(Plan.PieceLength(RowCount));
        arguments.Add(Plan.PieceLength(ImageCount));
        arguments.Add(Plan.PieceLength(ExtraCount));
        arguments.Add(Plan.Pieces(RowCount));
        arguments.Add(Plan.Pieces(ImageCount));
        arguments.Add(Plan.Pieces(ExtraCount));
    }

    /// <summary>A piece of the rows.</summary>
    /// <param name="index">0 to the number of pieces less one; the last ones may be empty.</param>
    public CudaSimilarityPiece RowPiece(int index) => Piece(RowCount, index, 0);

    /// <summary>A piece of the columns of a block.</summary>
    /// <param name="extra">Which block.</param>
    /// <param name="index">0 to the number of pieces less one; the last ones may be empty.</param>
    public CudaSimilarityPiece ColumnPiece(bool extra, int index) => extra
        ? Piece(ExtraCount, index, Plan.Pieces(RowCount) + Plan.Pieces(ImageCount))
        : Piece(ImageCount, index, Plan.Pieces(RowCount));

    /// <summary>The kept logits of a super-tile, or 0.</summary>
    public nint Kept(int firstRow, int firstColumn) => !Plan.KeepsTiles ? 0
        : _address + (nint)(Plan.Kept + ((((long)firstRow * ColumnRoom) + firstColumn) * sizeof(float)));

    /// <summary>Some lines of a side as the products take them: as they lie, or packed into the workspace.</summary>
    /// <param name="source">The side's embeddings.</param>
    /// <param name="piece">Which lines.</param>
    /// <param name="width">Of the prefix.</param>
    /// <param name="isImages">Which side: each has a place of its own.</param>
    /// <param name="withoutAbsent">Whether lines that have no part in the loss are zeros: packed in any case.</param>
    public CudaSimilarityOperand Operand(in Tensor source, in CudaSimilarityPiece piece, int width, bool isImages, bool withoutAbsent)
    {
        nint address = source.Address + (nint)((long)piece.First * E * DType.ByteSize());
        int size = ElementType.ByteSize();
        if (!withoutAbsent && DType == ElementType && address % 16 == 0 && (long)E * size % 16 == 0 && (long)width * size % 16 == 0)
        {
            return new CudaSimilarityOperand(address, E);
        }

        nint packed = _address + (nint)(isImages ? Plan.Images : Plan.Captions);
        int stride = CudaSimilarityPlan.PackedStride(width);
        CudaMatMul.Pack(Device, DType, ElementType, address, packed, IsLive ? piece.CountAddress : 0, (piece.Count, width), E, stride);
        CudaSimilarityOperand operand = new(packed, stride);
        if (withoutAbsent)
        {
            CudaSimilarityLines.ClearAbsent(this, operand, piece, !isImages);
        }

        return operand;
    }

    private nint CountAt(int index) => _address + (nint)(Plan.Counts + (index * sizeof(int)));

    private CudaSimilarityPiece Piece(int count, int index, int place)
    {
        int length = Plan.PieceLength(count);
        long first = (long)length * index;
        return new CudaSimilarityPiece((int)Math.Min(first, count), (int)Math.Clamp(count - first, 0, length), CountAt(PieceCountsAt + place + index));
    }
}
