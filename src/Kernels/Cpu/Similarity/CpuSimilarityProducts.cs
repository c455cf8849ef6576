using CrossAlign.Kernels.Cpu.Products;
using CrossAlign.Runtime;

namespace CrossAlign.Kernels.Cpu.Similarity;

/// <summary>The matrix products of a super-tile: similarities, and the two that add to the gradients.</summary>
internal static unsafe class CpuSimilarityProducts
{
    /// <summary>
    /// What the products take of the device's scratch at most: 8 MiB of packed columns and 8 of the tasks' packed rows, which need up to 226 KiB a thread. It is
    /// part of the loss's memory budget, which must not depend on the number of threads, or else the bits would.
    /// </summary>
    public const long ScratchByteCount = PackedColumnsByteCount + PackedRowsByteCount;

    private const long PackedColumnsByteCount = 8L << 20;
    private const long PackedRowsByteCount = 8L << 20;

    // A panel of columns of this depth takes half of what packed columns have.
    private const int MaxDepth = 1 << 16;

    /// <summary><c>tile = captions images^T</c>.</summary>
    public static void Similarities(CpuSimilarityState* s, CpuDevice device)
    {
        long elementBytes = s->DType.ByteSize();
        for (int start = 0; start < s->Width; start += MaxDepth)
        {
            Similarities(s, device, elementBytes * start, Math.Min(MaxDepth, s->Width - start), accumulate: start > 0);
        }
    }

    private static void Similarities(CpuSimilarityState* s, CpuDevice device, long byteOffset, int depth, bool accumulate)
    {
        Product product = new()
        {
            Left = (byte*)s->Captions + byteOffset,
            LeftType = s->DType,
            LeftStride = s->E,
            LeftRowFactors = s->Rows.HasLong ? s->Rows.Factors : null,
            Right = (byte*)s->Images + byteOffset,
            RightType = s->DType,
            RightStride = s->E,
            RightColumnFactors = s->Columns.HasLong ? s->Columns.Factors : null,
            Output = s->Tile,
            OutputType = DType.Float32,
            OutputStride = s->TileColumns,
            Rows = s->TileRows,
            Columns = s->TileColumns,
            Depth = depth,
            Alpha = 1,
            Round = s->Round,
            Accumulate = accumulate,
            SlotByteLimit = PackedRowsByteCount,
        };
        Run(s, device, product);
    }

    /// <summary><c>dCaptions += tile images</c>, <c>dImages += tile^T captions</c>, where they are wanted.</summary>
    public static void AddGradients(CpuSimilarityState* s, CpuDevice device)
    {
        Product product = new()
        {
            Left = s->Tile,
            LeftType = DType.Float32,
            LeftStride = s->TileColumns,
            Right = s->Images,
            RightType = s->DType,
            RightStride = s->E,
            RightDepthFactors = s->Columns.HasLong || s->Columns.HasAbsent ? s->Columns.Factors : null,
            RightTransposed = true,
            Output = s->DCaptions,
            OutputType = DType.Float32,
            OutputStride = s->E,
            Rows = s->TileRows,
            Columns = s->Width,
            Depth = s->TileColumns,
            Alpha = 1,
            Round = s->Round,
            Accumulate = !s->OverwritesDCaptions,
            SlotByteLimit = PackedRowsByteCount,
        };
        if (s->DCaptions != null)
        {
            Run(s, device, product);
        }

        if (s->DImages != null)
        {
            product.LeftTransposed = true;
            product.Accumulate = !s->OverwritesDImages;
            product.Right = s->Captions;
            product.RightDepthFactors = s->Rows.HasLong || s->Rows.HasAbsent ? s->Rows.Factors : null;
            product.Output = s->DImages;
            product.Rows = s->TileColumns;
            product.Depth = s->TileRows;
            Run(s, device, product);
        }
    }

    private static void Run(CpuSimilarityState* s, CpuDevice device, in Product product)
    {
        s->OperationCount += 2L * product.Rows * product.Columns * product.Depth;
        MatrixProduct.Run(device, product);
    }
}
