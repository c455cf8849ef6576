using CrossAlign.Runtime;
using CrossAlign.Runtime.Cuda;

namespace CrossAlign.Kernels.Cuda;

/// <summary>Launches <c>l2norm.cu</c>: a warp a row, four warps a block.</summary>
internal static class CudaL2Norm
{
    // As in l2norm.cu.
    private const int WarpsPerBlock = 4;
    private const int ThreadsPerBlock = 128;
    private const int AccessBytes = 16;

    public static void Forward(in Tensor input, in Tensor output, in Tensor norm)
    {
        KernelArguments arguments = default;
        arguments.Add(input);
        arguments.Add(output);
        arguments.Add(norm);
        Launch(input, output, IsWide(input, output, default), input.DType == DType.Float32 ? "l2norm_fwd_f32" : "l2norm_fwd_bf16", ref arguments);
    }

    public static void Backward(in Tensor dOutput, in Tensor output, in Tensor norm, in Tensor dInput)
    {
        KernelArguments arguments = default;
        arguments.Add(dOutput);
        arguments.Add(output);
        arguments.Add(norm);
        arguments.Add(dInput);
        Launch(dOutput, dInput, IsWide(dOutput, output, dInput), output.DType == DType.Float32 ? "l2norm_bwd_f32" : "l2norm_bwd_bf16", ref arguments);
    }

    private static bool IsWide(in Tensor x, in Tensor y, in Tensor z) => CudaKernels.IsWide(x.Shape[1], AccessBytes / x.DType.ByteSize(), x, y, z);

    private static void Launch(in Tensor rows, in Tensor mapped, bool wide, string name, ref KernelArguments arguments)
    {
        CudaDevice device = (CudaDevice)rows.Device;
        int b = rows.Shape[0];
        arguments.AddLiveRows(rows, mapped);
        arguments.Add(b);
        arguments.Add(rows.Shape[1]);
        arguments.Add(wide);
        device.Launch(CudaKernels.Get(device, "l2norm", name), CudaKernels.Blocks(b, WarpsPerBlock), ThreadsPerBlock, ref arguments);
    }
}
