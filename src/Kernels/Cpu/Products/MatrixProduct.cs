using CrossAlign.Runtime;

namespace CrossAlign.Kernels.Cpu.Products;

/// <summary>Computes a <see cref="Product"/> in the way that suits its shape; the shape alone decides.</summary>
internal static unsafe class MatrixProduct
{
    /// <summary>Bytes of scratch that a product needs.</summary>
    public static long ScratchByteCount(CpuDevice device, in Product product) => SplitDepthProduct.Suits(product)
        ? SplitDepthProduct.ScratchByteCount(device, product)
        : BlockedProduct.ScratchByteCount(device, product);

    /// <summary>Computes a product, with scratch of its own.</summary>
    public static void Run(CpuDevice device, in Product product) => Run(device, product, device.Scratch(ScratchByteCount(device, product)));

    /// <summary>Computes a product as a part of an operation that has taken the device's scratch already.</summary>
    /// <param name="device">Where.</param>
    /// <param name="product">What.</param>
    /// <param name="scratch"><see cref="ScratchByteCount"/> bytes, aligned to 64.</param>
    public static void Run(CpuDevice device, in Product product, void* scratch)
    {
        if (product.Rows == 0 || product.Columns == 0)
        {
            return;
        }

        if (SplitDepthProduct.Suits(product))
        {
            SplitDepthProduct.Run(device, product, scratch);
        }
        else
        {
            BlockedProduct.Run(device, product, scratch);
        }
    }
}
