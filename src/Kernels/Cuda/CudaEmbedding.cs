using CrossAlign.Runtime;
using CrossAlign.Runtime.Cuda;

namespace CrossAlign.Kernels.Cuda;

/// <summary>
/// Launches <c>embedding.cu</c>: a warp a token forward; backward the tokens are sorted by their numbers' digits and runs of equal numbers summed
/// in chunks of a fixed order, a table at a time. How many launches that are follows from shapes alone.
/// </summary>
internal static class CudaEmbedding
{
    // As in embedding.cu.
    private const int WarpsPerBlock = 4;
    private const int ThreadsPerBlock = 128;
    private const int Chunk = 32;
    private const int RowVector = 4;
    private const int AccessBytes = 16;

    // As in number_sort.cuh.
    private const int SortThreads = 128;
    private const int SortTile = 1024;
    private const int DigitBits = 8;
    private const int Digits = 1 << DigitBits;
    private const int DigitsPerBlock = 32;

    public static void Forward(
        in Tensor ids, in Tensor positions, in Tensor typeIds, in Tensor word, in Tensor position, in Tensor type, in Tensor output)
    {
        CudaDevice device = (CudaDevice)output.Device;
        int n = output.Shape[0];
        KernelArguments arguments = default;
        arguments.Add(ids);
        arguments.Add(positions);
        arguments.Add(typeIds);
        arguments.Add(word);
        arguments.Add(position);
        arguments.Add(type);
        arguments.Add(output);
        arguments.AddLiveRows(ids, output);
        arguments.Add(n);
        arguments.Add(output.Shape[1]);
        int elements = word.DType == output.DType ? AccessBytes / output.DType.ByteSize() : RowVector;
        arguments.Add(CudaKernels.IsWide(output.Shape[1], elements, word, position, type, output));
        string name = (word.DType, output.DType) switch
        {
            (DType.Float32, DType.Float32) => "embedding_fwd_f32_f32",
            (DType.Float32, _) => "embedding_fwd_f32_bf16",
            (_, DType.Float32) => "embedding_fwd_bf16_f32",
            _ => "embedding_fwd_bf16_bf16",
        };
        device.Launch(CudaKernels.Get(device, "embedding", name), CudaKernels.Blocks(n, WarpsPerBlock), ThreadsPerBlock, ref arguments);
    }

    public static void Backward(
        in Tensor dOutput, in Tensor ids, in Tensor positions, in Tensor typeIds, in Tensor dWord, in Tensor dPosition, in Tensor dType)
    {
        if (dWord.IsPresent)
        {
            Scatter(dOutput, ids, dWord, dWord.Shape[0], default, default);
        }

        if (dPosition.IsPresent)
        {
            Scatter(dOutput, positions, dPosition, dPosition.Shape[0], default, default);
        }

        if (dType.IsPresent)
        {
            Scatter(dOutput, typeIds, dType, dType.Shape[0], default, default);
        }
    }

    public static void BackwardSparse(in Tensor dOutput, in Tensor ids, int vocabulary, in Tensor rowIds, in Tensor values, in Tensor rowCount) =>
        Scatter(dOutput, ids, values, vocabulary, rowIds, rowCount);

    // Adds to a dense table; with rowIds, overwrites the rows of a sparse one. Each number is below the limit.
    private static void Scatter(in Tensor dOutput, in Tensor numbers, in Tensor table, int limit, in Tensor rowIds, in Tensor rowCount)
    {
        CudaDevice device = (CudaDevice)dOutput.Device;
        int n = dOutput.Shape[0];
        int c = dOutput.Shape[1];
        int chunks = CudaKernels.Blocks(n, Chunk);
        long partialBytes = (long)chunks * 2 * c * sizeof(float);
        nint partials = device.Scratch(partialBytes + SortByteCount(n));
        nint order = partials + (nint)partialBytes;
        nint sorted = order + ((nint)n * sizeof(int));

        // Where the sort has worked before.
        nint slots = rowIds.IsPresent ? sorted + ((nint)n * sizeof(int)) : 0;
        Sort(dOutput, numbers, limit, order, sorted);
        if (rowIds.IsPresent)
        {
            FindRuns(dOutput, sorted, slots, rowIds, rowCount);
        }

        bool wide = CudaKernels.IsWide(c, RowVector, dOutput, table);
        Dim3 grid = new((uint)CudaKernels.Blocks(c, ThreadsPerBlock * (wide ? RowVector : 1)), (uint)Math.Min(chunks, device.MaxGridRows));
        KernelArguments sum = default;
        sum.Add(dOutput);
        sum.AddAddress(order);
        sum.AddAddress(sorted);
        sum.AddAddress(slots);
        sum.Add(table);
        sum.AddAddress(partials);
        sum.AddLiveRows(dOutput);
        sum.Add(n);
        sum.Add(c);
        sum.Add(wide);
        device.Launch(
            CudaKernels.Get(device, "embedding", dOutput.DType == DType.Float32 ? "embedding_bwd_sum_f32" : "embedding_bwd_sum_bf16"),
            grid,
            ThreadsPerBlock,
            ref sum);

        KernelArguments merge = default;
        merge.AddAddress(partials);
        merge.AddAddress(sorted);
        merge.AddAddress(slots);
        merge.Add(table);
        merge.AddLiveRows(dOutput);
        merge.Add(n);
        merge.Add(c);
        merge.Add(wide);
        device.Launch(CudaKernels.Get(device, "embedding", "embedding_bwd_merge"), grid, ThreadsPerBlock, ref merge);
    }

    // The different numbers, and which of them each sorted token has.
    private static void FindRuns(in Tensor dOutput, nint sorted, nint slots, in Tensor rowIds, in Tensor rowCount)
    {
        CudaDevice device = (CudaDevice)dOutput.Device;
        int n = dOutput.Shape[0];
        int tiles = CudaKernels.Blocks(n, SortTile);

        // Where the sort has counted before.
        nint counts = tiles > 1 ? sorted + (3 * (nint)n * sizeof(int)) : 0;
        if (tiles > 1)
        {
            KernelArguments count = default;
            count.AddAddress(sorted);
            count.AddAddress(counts);
            count.AddLiveRows(dOutput);
            count.Add(n);
            device.Launch(CudaKernels.Get(device, "embedding", "embedding_runs"), tiles, SortThreads, ref count);

            KernelArguments offsets = default;
            offsets.AddAddress(counts);
            offsets.AddLiveRows(dOutput);
            offsets.Add(n);
            device.Launch(CudaKernels.Get(device, "embedding", "embedding_run_offsets"), 1, SortThreads, ref offsets);
        }

        // Without tokens there is still a count of zero to write.
        KernelArguments place = default;
        place.AddAddress(sorted);
        place.AddAddress(counts);
        place.AddAddress(slots);
        place.Add(rowIds);
        place.Add(rowCount);
        place.AddLiveRows(dOutput);
        place.Add(n);
        device.Launch(CudaKernels.Get(device, "embedding", "embedding_slots"), Math.Max(tiles, 1), SortThreads, ref place);
    }

    // Order and numbers, both twice; the counts of the tiles and their sums.
    private static long SortByteCount(int n) => ((4L * n) + ((CudaKernels.Blocks(n, SortTile) + 1L) * Digits)) * sizeof(int);

    // Leaves the tokens in the order of their numbers, and these beside them. Behind them lies room to work in.
    private static void Sort(in Tensor dOutput, in Tensor numbers, int limit, nint order, nint sorted)
    {
        CudaDevice device = (CudaDevice)dOutput.Device;
        int n = dOutput.Shape[0];
        if (!numbers.IsPresent || limit <= 1)
        {
            KernelArguments one = default;
            one.AddAddress(order);
            one.AddAddress(sorted);
            one.AddLiveRows(dOutput);
            one.Add(n);
            device.Launch(CudaKernels.Get(device, "embedding", "embedding_one_row"), CudaKernels.Blocks(n, ThreadsPerBlock), ThreadsPerBlock, ref one);
            return;
        }

        nint stride = (nint)n * sizeof(int);
        int tiles = CudaKernels.Blocks(n, SortTile);
        nint counts = tiles > 1 ? sorted + (3 * stride) : 0;
        nint totals = tiles > 1 ? counts + ((nint)tiles * Digits * sizeof(int)) : 0;
        int bits = 32 - System.Numerics.BitOperations.LeadingZeroCount((uint)(limit - 1));
        int sweeps = (bits + DigitBits - 1) / DigitBits;
        nint from = 0;
        for (int sweep = 0; sweep < sweeps; sweep++)
        {
            // The last one leaves its result where it is wanted.
            nint to = (sweeps - sweep) % 2 == 1 ? order : order + (2 * stride);
            nint source = from == 0 ? numbers.Address : from + stride;
            int shift = sweep * DigitBits;
            if (tiles > 1)
            {
                KernelArguments count = default;
                count.AddAddress(source);
                count.AddAddress(counts);
                count.AddLiveRows(dOutput, numbers);
                count.Add(n);
                count.Add(shift);
                device.Launch(CudaKernels.Get(device, "embedding", "embedding_count"), tiles, SortThreads, ref count);

                KernelArguments offsets = default;
                offsets.AddAddress(counts);
                offsets.AddAddress(totals);
                offsets.AddLiveRows(dOutput);
                offsets.Add(n);
                device.Launch(CudaKernels.Get(device, "embedding", "embedding_offsets"), Digits / DigitsPerBlock, SortThreads, ref offsets);
            }

            KernelArguments place = default;
            place.AddAddress(from);
            place.AddAddress(source);
            place.AddAddress(counts);
            place.AddAddress(totals);
            place.AddAddress(to);
            place.AddAddress(to + stride);
            place.AddLiveRows(dOutput, numbers);
            place.Add(n);
            place.Add(shift);
            device.Launch(CudaKernels.Get(device, "embedding", "embedding_place"), tiles, SortThreads, ref place);
            from = to;
        }
    }
}
