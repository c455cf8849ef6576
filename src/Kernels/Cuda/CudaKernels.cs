using CrossAlign.Runtime.Cuda;

namespace CrossAlign.Kernels.Cuda;

/// <summary>The kernels that this assembly carries as PTX.</summary>
internal static class CudaKernels
{
    /// <summary>A kernel of the module <c>{stem}.ptx</c>, loaded when first used.</summary>
    public static CudaKernel Get(CudaDevice device, string stem, string name) => device.Kernel(typeof(CudaKernels).Assembly, stem, name);

    /// <summary>Blocks of <paramref name="perBlock"/> items that cover <paramref name="count"/>.</summary>
    public static int Blocks(long count, int perBlock) => checked((int)((count + perBlock - 1) / perBlock));
}
