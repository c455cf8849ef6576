using CrossAlign.Runtime;
using CrossAlign.Runtime.Cuda;

namespace CrossAlign.Kernels.Cuda;

/// <summary>Launches <c>adamw.cu</c>: one launch for all tensors, a block a piece of the table.</summary>
internal static class CudaAdamW
{
    public static void Step(CudaParameterTable table, in Tensor settings, in Tensor gradientNorm)
    {
        CudaDevice device = table.Device;
        KernelArguments arguments = default;
        arguments.AddAddress(table.Entries);
        arguments.AddAddress(table.StepTasks);
        arguments.Add(settings);
        arguments.Add(gradientNorm);
        device.Launch(CudaKernels.Get(device, "adamw", "adamw_step"), table.StepTaskCount, CudaParameterTable.ThreadsPerBlock, ref arguments);
    }
}
