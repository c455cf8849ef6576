using CrossAlign.Kernels.Cpu;
using CrossAlign.Kernels.Cuda;
using CrossAlign.Runtime;

namespace CrossAlign.Kernels;

/// <summary>
/// Dropout of packed token vectors: each number is dropped, or kept and multiplied by 1 / (1 - rate), as <see cref="DropoutSite"/>
/// lays down. The backward pass draws the same numbers again; no mask is stored. Deterministic on every backend.
/// </summary>
/// <remarks>Source: N. Srivastava et al., "Dropout", 2014, section 4, scaled when training.</remarks>
public static class Dropout
{
    /// <summary>Drops. With a rate of 0 the input is copied.</summary>
    /// <param name="input">(N, C), float32 or bfloat16.</param>
    /// <param name="output">(N, C), the type of <paramref name="input"/>; overwritten; may be <paramref name="input"/> itself.</param>
    /// <param name="site">Where in the model, and in which step.</param>
    /// <exception cref="ArgumentException">A tensor is absent, has another shape or type, or lies on another device; or the site's rate or number is out of range.</exception>
    /// <exception cref="NotSupportedException">The device has no backend for this operation.</exception>
    public static void Forward(in Tensor input, in Tensor output, in DropoutSite site)
    {
        Check.IsFloating(input, 2);
        Device device = input.Device;
        Check.Is(output, input.Shape, input.DType, device);
        site.CheckFor(input.Shape[0], device);
        using OperationTimer timer = OperationTimer.Start(device, "Dropout.Forward");
        switch (device.Kind)
        {
            case DeviceKind.Plan:
                break;
            case DeviceKind.Cpu:
                CpuDropout.Run(input, output, site);
                break;
            case DeviceKind.Cuda:
                CudaDropout.Run(input, output, site);
                break;
            default:
                throw Check.NoBackend(device);
        }
    }

    /// <summary>The gradient of <see cref="Forward"/>: what was dropped gets zero, what was kept 1 / (1 - rate) of its gradient.</summary>
    /// <param name="dOutput">(N, C), float32 or bfloat16.</param>
    /// <param name="dInput">(N, C), the type of <paramref name="dOutput"/>; overwritten (=); may be <paramref name="dOutput"/> itself.</param>
    /// <param name="site">Of the forward pass.</param>
    /// <exception cref="ArgumentException">A tensor is absent, has another shape or type, or lies on another device; or the site's rate or number is out of range.</exception>
    /// <exception cref="NotSupportedException">The device has no backend for this operation.</exception>
    public static void Backward(in Tensor dOutput, in Tensor dInput, in DropoutSite site)
    {
        Check.IsFloating(dOutput, 2);
        Device device = dOutput.Device;
        Check.Is(dInput, dOutput.Shape, dOutput.DType, device);
        site.CheckFor(dOutput.Shape[0], device);
        using OperationTimer timer = OperationTimer.Start(device, "Dropout.Backward");
        switch (device.Kind)
        {
            case DeviceKind.Plan:
                break;
            case DeviceKind.Cpu:
                CpuDropout.Run(dOutput, dInput, site);
                break;
            case DeviceKind.Cuda:
                CudaDropout.Run(dOutput, dInput, site);
                break;
            default:
                throw Check.NoBackend(device);
        }
    }
}
