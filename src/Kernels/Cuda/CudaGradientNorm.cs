using CrossAlign.Runtime;
using CrossAlign.Runtime.Cuda;

namespace CrossAlign.Kernels.Cuda;

/// <summary>Launches <c>gradient_norm.cu</c>: a block a piece of the table, and one block that adds what they have summed.</summary>
internal static class CudaGradientNorm
{
    public static void Run(CudaParameterTable table, double maxNorm, in Tensor result, double gradientScale)
    {
        CudaDevice device = table.Device;
        KernelArguments partial = default;
        partial.AddAddress(table.Entries);
        partial.AddAddress(table.NormTasks);
        partial.AddAddress(table.Partials);
        device.Launch(
            CudaKernels.Get(device, "gradient_norm", "gradient_norm_partial"), table.NormTaskCount, CudaParameterTable.ThreadsPerBlock, ref partial);

        KernelArguments finish = default;
        finish.AddAddress(table.Partials);
        finish.Add(table.NormTaskCount);
        finish.Add(result);
        finish.Add(maxNorm);
        finish.Add(gradientScale);
        device.Launch(CudaKernels.Get(device, "gradient_norm", "gradient_norm_finish"), 1, CudaParameterTable.ThreadsPerBlock, ref finish);
    }
}
