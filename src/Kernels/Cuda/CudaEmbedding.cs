using CrossAlign.Runtime;
using CrossAlign.Runtime.Cuda;

namespace CrossAlign.Kernels.Cuda;

/// <summary>
/// Launches <c>embedding.cu</c>: a warp a token forward; backward the tokens are sorted by counting and runs of equal numbers summed in
/// chunks of a fixed order, a table at a time.
/// </summary>
internal static class CudaEmbedding
{
    // As in embedding.cu.
    private const int WarpsPerBlock = 4;
    private const int ThreadsPerBlock = 128;
    private const int Chunk = 32;
    private const int RowVector = 4;
    private const int AccessBytes = 16;

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
            Scatter(dOutput, ids, dWord, default, default);
        }

        if (dPosition.IsPresent)
        {
            Scatter(dOutput, positions, dPosition, default, default);
        }

        if (dType.IsPresent)
        {
            Scatter(dOutput, typeIds, dType, default, default);
        }
    }

    public static void BackwardSparse(in Tensor dOutput, in Tensor ids, in Tensor rowIds, in Tensor values, in Tensor rowCount) =>
        Scatter(dOutput, ids, values, rowIds, rowCount);

    // Adds to a dense table; with rowIds, overwrites the rows of a sparse one.
    private static void Scatter(in Tensor dOutput, in Tensor numbers, in Tensor table, in Tensor rowIds, in Tensor rowCount)
    {
        CudaDevice device = (CudaDevice)dOutput.Device;
        int n = dOutput.Shape[0];
        int c = dOutput.Shape[1];
        int chunks = CudaKernels.Blocks(n, Chunk);
        long partialBytes = (long)chunks * 2 * c * sizeof(float);
        nint partials = device.Scratch(partialBytes + (3L * n * sizeof(int)));
        nint order = partials + (nint)partialBytes;
        nint sorted = order + ((nint)n * sizeof(int));
        nint slots = rowIds.IsPresent ? sorted + ((nint)n * sizeof(int)) : 0;
        int tokenBlocks = CudaKernels.Blocks(n, ThreadsPerBlock);

        KernelArguments sort = default;
        sort.Add(numbers);
        sort.AddAddress(order);
        sort.AddAddress(sorted);
        sort.AddLiveRows(dOutput, numbers);
        sort.Add(n);
        device.Launch(CudaKernels.Get(device, "embedding", "embedding_order"), tokenBlocks, ThreadsPerBlock, ref sort);
        if (rowIds.IsPresent)
        {
            // Without tokens there is still a count of zero to write.
            KernelArguments number = default;
            number.AddAddress(sorted);
            number.AddAddress(slots);
            number.Add(rowIds);
            number.Add(rowCount);
            number.AddLiveRows(dOutput);
            number.Add(n);
            device.Launch(CudaKernels.Get(device, "embedding", "embedding_slots"), Math.Max(tokenBlocks, 1), ThreadsPerBlock, ref number);
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
}
