using CrossAlign.Runtime;
using CrossAlign.Runtime.Cuda;

namespace CrossAlign.Kernels.Cuda;

/// <summary>Linear layers on a CUDA device: three matrix products, and <c>linear.cu</c> for the sums of columns.</summary>
internal static class CudaLinear
{
    // As in linear.cu. From 32768 rows on a block takes several chunks.
    private const int ThreadsPerBlock = 128;
    private const int RowsPerChunk = 32;
    private const int MostPartials = 1024;
    private const int RowVector = 4;

    public static void Forward(in Tensor input, in Tensor weight, in Tensor bias, in Tensor output) =>
        CudaMatMul.Run(input, weight, bias, output, MatMulLayout.NT, 1, accumulate: false);

    public static void Backward(
        in Tensor dOutput, in Tensor input, in Tensor weight, in Tensor dInput, in Tensor dWeight, in Tensor dBias, bool accumulateInput)
    {
        if (dInput.IsPresent)
        {
            CudaMatMul.Run(dOutput, weight, default, dInput, MatMulLayout.NN, 1, accumulateInput);
        }

        if (dWeight.IsPresent)
        {
            CudaMatMul.Run(dOutput, input, default, dWeight, MatMulLayout.TN, 1, accumulate: true);
        }

        if (dBias.IsPresent)
        {
            SumColumns(dOutput, dBias);
        }
    }

    private static void SumColumns(in Tensor dOutput, in Tensor dBias)
    {
        CudaDevice device = (CudaDevice)dOutput.Device;
        int n = dOutput.Shape[0];
        int c = dOutput.Shape[1];
        int partialCount = Math.Min(CudaKernels.Blocks(n, RowsPerChunk), MostPartials);
        nint partials = device.Scratch((long)partialCount * c * sizeof(float));
        bool wide = CudaKernels.IsWide(c, RowVector, dOutput);
        KernelArguments partial = default;
        partial.Add(dOutput);
        partial.AddAddress(partials);
        partial.AddLiveRows(dOutput);
        partial.Add(n);
        partial.Add(c);
        partial.Add(wide);
        device.Launch(
            CudaKernels.Get(device, "linear", dOutput.DType == DType.Float32 ? "linear_bwd_bias_partial_f32" : "linear_bwd_bias_partial_bf16"),
            new Dim3((uint)CudaKernels.Blocks(c, ThreadsPerBlock * (wide ? RowVector : 1)), (uint)partialCount),
            ThreadsPerBlock,
            ref partial);

        KernelArguments merge = default;
        merge.AddAddress(partials);
        merge.Add(dBias);
        merge.AddLiveRows(dOutput);
        merge.Add(n);
        merge.Add(c);
        device.Launch(CudaKernels.Get(device, "linear", "linear_bwd_bias_merge"), CudaKernels.Blocks(c, ThreadsPerBlock), ThreadsPerBlock, ref merge);
    }
}
