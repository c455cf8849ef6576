using CrossAlign.Runtime;
using CrossAlign.Runtime.Cuda;

namespace CrossAlign.Kernels.Cuda;

/// <summary>Launches <c>layernorm.cu</c>: a warp a row, four warps a block; the weights' gradient in two stages of a fixed order.</summary>
internal static class CudaLayerNorm
{
    // As in layernorm.cu. 32 rows a chunk: at 4096 rows of 768 columns 256 blocks, two a multiprocessor of an A100. From 32768 rows on a
    // block takes several chunks, so that the partial sums stay small beside the rows and a grid within its limit of 65535.
    private const int WarpsPerBlock = 4;
    private const int ThreadsPerBlock = 128;
    private const int RowsPerChunk = 32;
    private const int MostPartials = 1024;
    private const int RowVector = 4;

    public static void Forward(
        in Tensor input, in Tensor residual, in Tensor sum, in Tensor weight, in Tensor bias, in Tensor output, in Tensor mean, in Tensor rstd, float epsilon)
    {
        CudaDevice device = (CudaDevice)input.Device;
        int n = input.Shape[0];
        KernelArguments arguments = default;
        arguments.Add(input);
        arguments.Add(residual);
        arguments.Add(sum);
        arguments.Add(weight);
        arguments.Add(bias);
        arguments.Add(output);
        arguments.Add(mean);
        arguments.Add(rstd);
        arguments.AddLiveRows(input, output);
        arguments.Add(n);
        arguments.Add(input.Shape[1]);
        arguments.Add(epsilon);
        arguments.Add(CudaKernels.IsWide(input.Shape[1], RowVector, input, residual, sum, weight, bias, output));
        CudaKernel kernel = CudaKernels.Get(device, "layernorm", input.DType == DType.Float32 ? "layernorm_fwd_f32" : "layernorm_fwd_bf16");
        device.Launch(kernel, CudaKernels.Blocks(n, WarpsPerBlock), ThreadsPerBlock, ref arguments);
    }

    public static void Backward(
        in Tensor dOutput, in Tensor input, in Tensor weight, in Tensor mean, in Tensor rstd, in Tensor dInput, in Tensor dWeight, in Tensor dBias, bool accumulateInput)
    {
        CudaDevice device = (CudaDevice)input.Device;
        int n = input.Shape[0];
        int c = input.Shape[1];
        bool single = input.DType == DType.Float32;

        // First the weights' gradient: dInput may lie where dOutput does.
        int partialCount = Math.Min(CudaKernels.Blocks(n, RowsPerChunk), MostPartials);
        nint partials = device.Scratch((long)partialCount * 2 * c * sizeof(float));
        bool wide = CudaKernels.IsWide(c, RowVector, dOutput, input);
        KernelArguments partial = default;
        partial.Add(dOutput);
        partial.Add(input);
        partial.Add(mean);
        partial.Add(rstd);
        partial.AddAddress(partials);
        partial.AddLiveRows(dOutput, input);
        partial.Add(n);
        partial.Add(c);
        partial.Add(wide);
        device.Launch(
            CudaKernels.Get(device, "layernorm", single ? "layernorm_bwd_partial_f32" : "layernorm_bwd_partial_bf16"),
            new Dim3((uint)CudaKernels.Blocks(c, ThreadsPerBlock * (wide ? RowVector : 1)), (uint)partialCount),
            ThreadsPerBlock,
            ref partial);

        KernelArguments merge = default;
        merge.AddAddress(partials);
        merge.Add(dWeight);
        merge.Add(dBias);
        merge.AddLiveRows(dOutput);
        merge.Add(n);
        merge.Add(c);
        device.Launch(CudaKernels.Get(device, "layernorm", "layernorm_bwd_merge"), CudaKernels.Blocks(c, ThreadsPerBlock), ThreadsPerBlock, ref merge);

        KernelArguments rows = default;
        rows.Add(dOutput);
        rows.Add(input);
        rows.Add(weight);
        rows.Add(mean);
        rows.Add(rstd);
        rows.Add(dInput);
        rows.AddLiveRows(dOutput, dInput);
        rows.Add(n);
        rows.Add(c);
        rows.Add(accumulateInput);
        rows.Add(CudaKernels.IsWide(c, RowVector, dOutput, input, weight, dInput));
        device.Launch(
            CudaKernels.Get(device, "layernorm", single ? "layernorm_bwd_f32" : "layernorm_bwd_bf16"),
            CudaKernels.Blocks(n, WarpsPerBlock),
            ThreadsPerBlock,
            ref rows);
    }
}
