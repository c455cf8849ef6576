using CrossAlign.Runtime;
using CrossAlign.Runtime.Cuda;

namespace CrossAlign.Kernels.Cuda;

/// <summary>Launches <c>pooling.cu</c>: a block a sequence and a strip of columns.</summary>
internal static class CudaPooling
{
    private const int ThreadsPerBlock = 128;
    private const int AccessBytes = 16;

    public static void Forward(PoolingKind kind, in Tensor input, in Tensor cuSeqlens, in Tensor output, in Tensor chosen)
    {
        KernelArguments arguments = default;
        arguments.Add(input);
        arguments.Add(cuSeqlens);
        arguments.Add(output);
        arguments.Add(chosen);
        string name = (input.DType, output.DType) switch
        {
            (DType.Float32, _) => "pooling_fwd_f32",
            (_, DType.Float32) => "pooling_fwd_bf16_f32",
            _ => "pooling_fwd_bf16",
        };
        Launch(kind, output, input, chosen, name, ref arguments);
    }

    public static void Backward(PoolingKind kind, in Tensor dOutput, in Tensor cuSeqlens, in Tensor dInput, in Tensor chosen)
    {
        KernelArguments arguments = default;
        arguments.Add(dOutput);
        arguments.Add(cuSeqlens);
        arguments.Add(dInput);
        arguments.Add(chosen);
        string name = (dOutput.DType, dInput.DType) switch
        {
            (_, DType.Float32) => "pooling_bwd_f32",
            (DType.Float32, _) => "pooling_bwd_f32_bf16",
            _ => "pooling_bwd_bf16",
        };
        Launch(kind, dOutput, dInput, chosen, name, ref arguments);
    }

    private static void Launch(PoolingKind kind, in Tensor pooled, in Tensor tokens, in Tensor chosen, string name, ref KernelArguments arguments)
    {
        CudaDevice device = (CudaDevice)pooled.Device;
        int s = pooled.Shape[0];
        int c = pooled.Shape[1];
        int vector = AccessBytes / Math.Max(pooled.DType.ByteSize(), tokens.DType.ByteSize());
        bool wide = CudaKernels.IsWide(c, vector, pooled, tokens) && (!chosen.IsPresent || chosen.Address % AccessBytes == 0);
        arguments.AddLiveRows(pooled);
        arguments.Add(s);
        arguments.Add(c);
        arguments.Add((int)kind);
        arguments.Add(wide);
        device.Launch(
            CudaKernels.Get(device, "pooling", name),
            new Dim3((uint)s, (uint)CudaKernels.Blocks(c, ThreadsPerBlock * (wide ? vector : 1))),
            ThreadsPerBlock,
            ref arguments);
    }
}
