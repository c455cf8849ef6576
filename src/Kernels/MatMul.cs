using CrossAlign.Kernels.Cpu;
using CrossAlign.Kernels.Cpu.Products;
using CrossAlign.Kernels.Cuda;
using CrossAlign.Runtime;

namespace CrossAlign.Kernels;

/// <summary>
/// The matrix product <c>output = alpha * op(a) op(b)</c>, or <c>output += alpha * op(a) op(b)</c>, accumulated in float32 whatever
/// the storage types are; float32 operands are treated as <see cref="Device.MatMulPrecision"/> says. Deterministic; with layouts NN and NT a row of the output depends to the bit on its own row of
/// <c>a</c> and on <c>b</c> alone, never on how many other rows there are.
/// </summary>
/// <remarks>Source of the blocking: K. Goto, R. van de Geijn, "Anatomy of High-Performance Matrix Multiplication", 2008.</remarks>
public static class MatMul
{
    /// <summary>
    /// Why <see cref="MatMulPrecision.BFloat16"/> is formed as float32 products of rounded operands on the processor: it has no AVX512_BF16, or
    /// the kernel could not be used. Null where the processor's own bfloat16 products are used.
    /// </summary>
    public static string? BFloat16UnavailableReason => BFloat16Products.UnavailableReason;

    /// <summary>Multiplies. No rows or columns are allowed; then nothing is done. K = 0 gives zeros (or leaves the output as it is with <paramref name="accumulate"/>).</summary>
    /// <param name="a">(M, K), or (K, M) with <see cref="MatMulLayout.TN"/>; float32 or bfloat16.</param>
    /// <param name="b">(K, N), or (N, K) with <see cref="MatMulLayout.NT"/>; float32 or bfloat16.</param>
    /// <param name="output">(M, N), float32 or bfloat16; overwritten (=), or added to (+=) with <paramref name="accumulate"/>; must not overlap <paramref name="a"/> or <paramref name="b"/>.</param>
    /// <param name="layout">Which operand is read transposed.</param>
    /// <param name="alpha">Multiplies the product.</param>
    /// <param name="accumulate">Whether the output is added to.</param>
    /// <exception cref="ArgumentException">A tensor is absent, has another shape or type, or lies on another device.</exception>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="layout"/> is not one of the enumeration's values.</exception>
    /// <exception cref="NotSupportedException">The device has no backend for this operation.</exception>
    public static void Run(in Tensor a, in Tensor b, in Tensor output, MatMulLayout layout, float alpha = 1, bool accumulate = false)
    {
        Check.IsFloating(a, 2);
        Check.IsFloating(b, 2);
        Check.IsFloating(output, 2);
        (int m, int k) = layout == MatMulLayout.TN ? (a.Shape[1], a.Shape[0]) : (a.Shape[0], a.Shape[1]);
        (Shape right, int n) = layout switch
        {
            MatMulLayout.NN or MatMulLayout.TN => (new Shape(k, b.Shape[1]), b.Shape[1]),
            MatMulLayout.NT => (new Shape(b.Shape[0], k), b.Shape[0]),
            _ => throw new ArgumentOutOfRangeException(nameof(layout), layout, "Not a layout of a matrix product."),
        };
        Device device = a.Device;
        Check.Is(b, right, b.DType, device);
        Check.Is(output, new Shape(m, n), output.DType, device);
        using OperationTimer timer = OperationTimer.Start(device, "MatMul", 2L * m * n * k);
        switch (device.Kind)
        {
            case DeviceKind.Plan:
                break;
            case DeviceKind.Cpu:
                CpuMatMul.Run(a, b, output, layout, alpha, accumulate);
                break;
            case DeviceKind.Cuda:
                CudaMatMul.Run(a, b, default, output, layout, alpha, accumulate);
                break;
            default:
                throw Check.NoBackend(device);
        }
    }
}
