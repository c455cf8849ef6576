using CrossAlign.Runtime;
using CrossAlign.Runtime.Cuda;

namespace CrossAlign.Kernels.Cuda;

/// <summary>The kernels that this assembly carries as PTX.</summary>
internal static class CudaKernels
{
    /// <summary>A kernel of the module <c>{stem}.ptx</c>, loaded when first used.</summary>
    public static CudaKernel Get(CudaDevice device, string stem, string name) => device.Kernel(typeof(CudaKernels).Assembly, stem, name);

    /// <summary>
    /// Whether a kernel may take <paramref name="elements"/> elements of a row at a time: rows are whole numbers of them, and so are the
    /// addresses of all tensors; absent ones are in nobody's way. Views need not lie so: then a kernel takes one element at a time.
    /// </summary>
    public static bool IsWide(int columns, int elements, params ReadOnlySpan<Tensor> tensors)
    {
        bool wide = columns % elements == 0;
        foreach (ref readonly Tensor tensor in tensors)
        {
            wide &= !tensor.IsPresent || tensor.Address % (elements * tensor.DType.ByteSize()) == 0;
        }

        return wide;
    }

    /// <summary>Blocks of <paramref name="perBlock"/> items that cover <paramref name="count"/>.</summary>
    public static int Blocks(long count, int perBlock) => checked((int)((count + perBlock - 1) / perBlock));
}
