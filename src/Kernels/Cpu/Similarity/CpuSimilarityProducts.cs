using CrossAlign.Kernels.Cpu.Products;
using CrossAlign.Runtime;

namespace CrossAlign.Kernels.Cpu.Similarity;

/// <summary>The matrix products of a super-tile: similarities, and the two that add to the gradients.</summary>
internal static unsafe class CpuSimilarityProducts
{
    /// <summary>
    /// What the products take of the device's scratch at most: 8 MiB of packed columns, and up to 226 KiB of packed rows a thread (for
    /// 36 threads here). It is part of the loss's memory budget, which must not depend on the number of threads, or else the bits would.
    /// </summary>
    public const long ScratchByteCount = 16L << 20;

    private const long PackedColumnsByteCount = 8L << 20;
    private const long ThreadByteCount = 226L << 10;

    /// <summary>The same for any number of threads: what is predicted, as more than 36 take more than the budget sets aside.</summary>
    /// <param name="threads">Threads.</param>
    public static long ScratchByteCountFor(int threads) => Math.Max(ScratchByteCount, PackedColumnsByteCount + (threads * ThreadByteCount));

    /// <summary><c>tile = captions images^T</c>.</summary>
    public static void Similarities(CpuSimilarityState* s, CpuDevice device)
    {
        Product product = new()
        {
            Left = s->Captions,
            LeftType = s->DType,
            LeftStride = s->E,
            LeftScale = s->CaptionFactor,
            Right = s->Images,
            RightType = s->DType,
            RightStride = s->E,
            RightScale = s->ImageFactor,
            Output = s->Tile,
            OutputType = DType.Float32,
            OutputStride = s->TileColumns,
            Rows = s->TileRows,
            Columns = s->TileColumns,
            Depth = s->Width,
            Alpha = 1,
            Round = s->Round,
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
            RightScale = s->ImageFactor,
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
            product.RightScale = s->CaptionFactor;
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
