using CrossAlign.Kernels.Cpu.Products;
using CrossAlign.Runtime;

namespace CrossAlign.Kernels.Cpu;

/// <summary>Matrix products on the CPU: see <see cref="MatrixProduct"/>.</summary>
internal static unsafe class CpuMatMul
{
    public static void Run(in Tensor a, in Tensor b, in Tensor output, MatMulLayout layout, float alpha, bool accumulate) =>
        Run(a, b, default, output, layout, alpha, accumulate);

    public static void Run(in Tensor a, in Tensor b, in Tensor bias, in Tensor output, MatMulLayout layout, float alpha, bool accumulate)
    {
        Product product = new()
        {
            Left = (void*)a.Address,
            LeftType = a.DType,
            LeftStride = a.Shape[1],
            LeftTransposed = layout == MatMulLayout.TN,
            Right = (void*)b.Address,
            RightType = b.DType,
            RightStride = b.Shape[1],
            RightTransposed = layout != MatMulLayout.NT,
            Output = (void*)output.Address,
            OutputType = output.DType,
            OutputStride = output.Shape[1],
            Rows = output.Shape[0],
            Columns = output.Shape[1],
            Depth = a.Shape[layout == MatMulLayout.TN ? 0 : 1],
            Alpha = alpha,
            Accumulate = accumulate,
            Round = a.Device.MatMulPrecision == MatMulPrecision.BFloat16,
            Bias = bias.IsPresent ? bias.Pointer<float>() : null,
        };
        MatrixProduct.Run((CpuDevice)a.Device, product);
    }
}
