using CrossAlign.Runtime;
using CrossAlign.Runtime.Cuda;

namespace CrossAlign.Kernels.Cuda;

/// <summary>Launches <c>gelu.cu</c>: a thread a few columns of a chunk of rows; the bias's gradient in two stages of a fixed order.</summary>
internal static class CudaGelu
{
    // As in gelu.cu.
    private const int ThreadsPerBlock = 128;
    private const int RowsPerChunk = 32;
    private const int MostPartials = 1024;
    private const int RowsPerForwardBlock = 8;
    private const int RowVector = 4;

    // Four times as many blocks as an A100 or H100 holds at once; with more rows a block takes several groups of them.
    private const int MostForwardBlocks = 8192;

    public static void Forward(GeluKind kind, in Tensor input, in Tensor bias, in Tensor output)
    {
        CudaDevice device = (CudaDevice)input.Device;
        int n = input.Shape[0];
        int c = input.Shape[1];
        bool wide = CudaKernels.IsWide(c, RowVector, input, bias, output);
        KernelArguments arguments = default;
        arguments.Add(input);
        arguments.Add(bias);
        arguments.Add(output);
        arguments.AddLiveRows(input, output);
        arguments.Add(n);
        arguments.Add(c);
        arguments.Add((int)kind);
        arguments.Add(wide);
        device.Launch(
            CudaKernels.Get(device, "gelu", input.DType == DType.Float32 ? "gelu_fwd_f32" : "gelu_fwd_bf16"),
            new Dim3(ColumnBlocks(c, wide), (uint)Math.Min(CudaKernels.Blocks(n, RowsPerForwardBlock), MostForwardBlocks)),
            ThreadsPerBlock,
            ref arguments);
    }

    public static void Backward(GeluKind kind, in Tensor dOutput, in Tensor input, in Tensor bias, in Tensor dInput, in Tensor dBias)
    {
        CudaDevice device = (CudaDevice)input.Device;
        int n = input.Shape[0];
        int c = input.Shape[1];
        int partialCount = Math.Min(CudaKernels.Blocks(n, RowsPerChunk), MostPartials);
        bool wide = CudaKernels.IsWide(c, RowVector, dOutput, input, bias, dInput);
        nint partials = dBias.IsPresent ? device.Scratch((long)partialCount * c * sizeof(float)) : 0;
        KernelArguments arguments = default;
        arguments.Add(dOutput);
        arguments.Add(input);
        arguments.Add(bias);
        arguments.Add(dInput);
        arguments.AddAddress(partials);
        arguments.AddLiveRows(dOutput, dInput);
        arguments.Add(n);
        arguments.Add(c);
        arguments.Add((int)kind);
        arguments.Add(wide);
        device.Launch(
            CudaKernels.Get(device, "gelu", input.DType == DType.Float32 ? "gelu_bwd_f32" : "gelu_bwd_bf16"),
            new Dim3(ColumnBlocks(c, wide), (uint)partialCount),
            ThreadsPerBlock,
            ref arguments);
        if (!dBias.IsPresent)
        {
            return;
        }

        KernelArguments merge = default;
        merge.AddAddress(partials);
        merge.Add(dBias);
        merge.AddLiveRows(dOutput, input);
        merge.Add(n);
        merge.Add(c);
        device.Launch(CudaKernels.Get(device, "gelu", "gelu_bwd_merge"), CudaKernels.Blocks(c, ThreadsPerBlock), ThreadsPerBlock, ref merge);
    }

    private static uint ColumnBlocks(int c, bool wide) => (uint)CudaKernels.Blocks(c, ThreadsPerBlock * (wide ? RowVector : 1));
}
