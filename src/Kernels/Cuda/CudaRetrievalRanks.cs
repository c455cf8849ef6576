using CrossAlign.Runtime;
using CrossAlign.Runtime.Cuda;

namespace CrossAlign.Kernels.Cuda;

/// <summary>
/// Launches <c>retrieval_ranks.cu</c>. Scores are formed in the storage's own precision: bfloat16 by the tensor cores, float32 by the
/// plain cores, whatever precision matrix products have.
/// </summary>
internal static class CudaRetrievalRanks
{
    // As in tile_product.cuh and retrieval_ranks.cu.
    private const int Tile = 128;
    private const int TileThreads = 256;
    private const int PieceByteCount = 16;
    private const int WarpsPerBlock = 4;
    private const int ThreadsPerBlock = 128;

    // Twice the multiprocessors of an A100.
    private const int WantedBlocks = 216;

    /// <summary>Bytes of scores at a time for the k best, and at least 128 queries.</summary>
    private const long ScoreByteCount = 32 << 20;

    public static void Run(in Tensor queries, in Tensor pool, in Tensor targets, in Tensor ranks)
    {
        CudaDevice device = (CudaDevice)queries.Device;
        int q = queries.Shape[0];
        int k = pool.Shape[0];
        int e = queries.Shape[1];
        if (q == 0)
        {
            return;
        }

        string suffix = queries.DType == DType.Float32 ? "f32" : "bf16";
        int size = queries.DType.ByteSize();
        int blocks = CudaKernels.Blocks(q, Tile);
        int splits = Math.Clamp(WantedBlocks / blocks, 1, CudaKernels.Blocks(k, Tile));
        long rowByteCount = CudaKernels.Blocks((long)e * size, PieceByteCount) * (long)PieceByteCount;
        long scores = 0;
        long counts = Aligned(scores + ((long)q * sizeof(float)));
        long gathered = Aligned(counts + ((long)splits * q * sizeof(int)));
        long packedQueries = Aligned(gathered + (q * rowByteCount));
        long packedPool = packedQueries + (IsDense(queries, rowByteCount) ? 0 : Aligned(q * rowByteCount));
        long end = packedPool + (IsDense(pool, rowByteCount) ? 0 : Aligned(k * rowByteCount));
        nint scratch = device.Scratch(end);
        nint left = Dense(device, queries, rowByteCount, scratch + (nint)packedQueries);
        nint right = Dense(device, pool, rowByteCount, scratch + (nint)packedPool);

        KernelArguments gather = default;
        gather.AddAddress(right);
        gather.Add(targets);
        gather.AddAddress(scratch + (nint)gathered);
        gather.Add(q);
        gather.Add((int)(rowByteCount / PieceByteCount));
        device.Launch(
            CudaKernels.Get(device, "retrieval_ranks", "retrieval_ranks_gather"), CudaKernels.Blocks(q, WarpsPerBlock), ThreadsPerBlock, ref gather);

        KernelArguments target = default;
        target.AddAddress(left);
        target.AddAddress(scratch + (nint)gathered);
        target.AddAddress(scratch);
        target.Add(q);
        target.Add(e);
        target.Add(rowByteCount);
        target.Add(rowByteCount);
        device.Launch(
            CudaKernels.Get(device, "retrieval_ranks", suffix == "f32" ? "retrieval_ranks_targets_f32" : "retrieval_ranks_targets_bf16"),
            blocks,
            TileThreads,
            ref target);

        KernelArguments count = default;
        count.AddAddress(left);
        count.AddAddress(right);
        count.AddAddress(scratch);
        count.AddAddress(scratch + (nint)counts);
        count.Add(q);
        count.Add(k);
        count.Add(e);
        count.Add(rowByteCount);
        count.Add(rowByteCount);
        device.Launch(
            CudaKernels.Get(device, "retrieval_ranks", suffix == "f32" ? "retrieval_ranks_count_f32" : "retrieval_ranks_count_bf16"),
            new Dim3((uint)blocks, (uint)splits),
            TileThreads,
            ref count);

        KernelArguments merge = default;
        merge.AddAddress(scratch + (nint)counts);
        merge.Add(ranks);
        merge.Add(q);
        merge.Add(splits);
        device.Launch(
            CudaKernels.Get(device, "retrieval_ranks", "retrieval_ranks_merge"), CudaKernels.Blocks(q, ThreadsPerBlock), ThreadsPerBlock, ref merge);
    }

    public static void TopK(in Tensor queries, in Tensor pool, in Tensor indices, in Tensor scores)
    {
        CudaDevice device = (CudaDevice)queries.Device;
        int q = queries.Shape[0];
        int k = pool.Shape[0];
        int best = indices.Shape[1];
        if (q == 0 || best == 0)
        {
            return;
        }

        int most = (int)Math.Min(q, Math.Max(Tile, ScoreByteCount / ((long)k * sizeof(float))));
        CudaProduct product = new()
        {
            Layout = MatMulLayout.NT,
            A = queries.Address,
            AType = queries.DType,
            B = pool.Address,
            BType = pool.DType,
            OutputType = DType.Float32,
            M = most,
            N = k,
            K = queries.Shape[1],
            Alpha = 1,
        };
        long scoreByteCount = Aligned((long)product.M * k * sizeof(float));
        nint scratch = device.Scratch(scoreByteCount + CudaMatMul.ScratchByteCount(device, product));
        for (int first = 0; first < q; first += most)
        {
            int rows = Math.Min(most, q - first);
            product.A = queries.Address + (nint)((long)first * queries.Shape[1] * queries.DType.ByteSize());
            product.M = rows;
            product.Output = scratch;
            CudaMatMul.Run(device, product, scratch + (nint)scoreByteCount);
            KernelArguments top = default;
            top.AddAddress(scratch);
            top.Add(indices.Rows(first, rows));
            top.Add(scores.IsPresent ? scores.Rows(first, rows) : default);
            top.Add(rows);
            top.Add(k);
            top.Add(best);
            device.Launch(
                CudaKernels.Get(device, "retrieval_ranks", "retrieval_top"), CudaKernels.Blocks(rows, WarpsPerBlock), ThreadsPerBlock, ref top);
        }
    }

    // Whether rows can be copied in pieces of 16 bytes as they lie.
    private static bool IsDense(in Tensor rows, long rowByteCount) =>
        rows.Address % PieceByteCount == 0 && (long)rows.Shape[1] * rows.DType.ByteSize() == rowByteCount;

    private static nint Dense(CudaDevice device, in Tensor rows, long rowByteCount, nint packed)
    {
        if (IsDense(rows, rowByteCount))
        {
            return rows.Address;
        }

        CudaMatMul.Pack(
            device, rows.DType, rows.DType, rows.Address, packed, 0, (rows.Shape[0], rows.Shape[1]), 0, (int)(rowByteCount / rows.DType.ByteSize()));
        return packed;
    }

    private static long Aligned(long byteCount) => (byteCount + 255) / 256 * 256;
}
