using CrossAlign.Kernels.Cpu;
using CrossAlign.Kernels.Cuda;
using CrossAlign.Runtime;

namespace CrossAlign.Kernels;

/// <summary>The residual connection, element by element. Its gradient is the gradient of the output, for both sides.</summary>
/// <remarks>Source: K. He et al., "Deep Residual Learning for Image Recognition", 2015, equation 1.</remarks>
public static class Residual
{
    /// <summary><c>output = x + y</c>. No elements are allowed; then nothing is done.</summary>
    /// <param name="x">Any shape, float32 or bfloat16.</param>
    /// <param name="y">The shape and type of <paramref name="x"/>.</param>
    /// <param name="output">The shape and type of <paramref name="x"/>; overwritten; may be <paramref name="x"/> or <paramref name="y"/>.</param>
    /// <exception cref="ArgumentException">A tensor is absent, has another shape or type, or lies on another device.</exception>
    /// <exception cref="NotSupportedException">The device has no backend for this operation.</exception>
    public static void Add(in Tensor x, in Tensor y, in Tensor output)
    {
        Check.IsFloating(x);
        Device device = x.Device;
        Check.Is(y, x.Shape, x.DType, device);
        Check.Is(output, x.Shape, x.DType, device);
        using OperationTimer timer = OperationTimer.Start(device, "Residual.Add");
        switch (device.Kind)
        {
            case DeviceKind.Plan:
                break;
            case DeviceKind.Cpu:
                CpuResidual.Add(x, y, output);
                break;
            case DeviceKind.Cuda:
                CudaResidual.Add(x, y, output);
                break;
            default:
                throw Check.NoBackend(device);
        }
    }
}
