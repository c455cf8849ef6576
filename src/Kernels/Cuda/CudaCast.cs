using CrossAlign.Runtime;
using CrossAlign.Runtime.Cuda;

namespace CrossAlign.Kernels.Cuda;

/// <summary>Launches <c>cast.cu</c>: a thread for four numbers; equal types are copied by the device's own copy.</summary>
internal static class CudaCast
{
    private const int ThreadsPerBlock = 256;
    private const int ElementsPerThread = 4;

    public static void Run(in Tensor input, in Tensor output)
    {
        CudaDevice device = (CudaDevice)input.Device;
        if (input.DType == output.DType)
        {
            device.Copy(input, output);
            return;
        }

        KernelArguments arguments = default;
        arguments.Add(input);
        arguments.Add(output);
        arguments.Add(input.Count);
        device.Launch(
            CudaKernels.Get(device, "cast", input.DType == DType.Float32 ? "cast_f32_bf16" : "cast_bf16_f32"),
            CudaKernels.Blocks(input.Count, ThreadsPerBlock * ElementsPerThread),
            ThreadsPerBlock,
            ref arguments);
    }
}
