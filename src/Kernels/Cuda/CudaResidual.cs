using CrossAlign.Runtime;
using CrossAlign.Runtime.Cuda;

namespace CrossAlign.Kernels.Cuda;

/// <summary>Launches <c>residual.cu</c>: a thread for each 16 bytes of the sum.</summary>
internal static class CudaResidual
{
    private const int ThreadsPerBlock = 256;
    private const int AccessBytes = 16;

    public static void Add(in Tensor x, in Tensor y, in Tensor output)
    {
        CudaDevice device = (CudaDevice)x.Device;
        if (x.Count == 0)
        {
            return;
        }

        int n = x.Shape.Rank == 0 ? 1 : x.Shape[0];
        KernelArguments arguments = default;
        arguments.Add(x);
        arguments.Add(y);
        arguments.Add(output);
        arguments.AddLiveRows(x, output);
        arguments.Add(n);
        arguments.Add(x.Count / n);
        device.Launch(
            CudaKernels.Get(device, "residual", x.DType == DType.Float32 ? "residual_add_f32" : "residual_add_bf16"),
            CudaKernels.Blocks(x.ByteCount, ThreadsPerBlock * AccessBytes),
            ThreadsPerBlock,
            ref arguments);
    }
}
