using CrossAlign.Kernels.Cpu;
using CrossAlign.Kernels.Cuda;
using CrossAlign.Runtime;

namespace CrossAlign.Kernels;

/// <summary>
/// Rows of length one: <c>output = input / ||input||</c>, with no epsilon. A row of zeros stays zero, and its gradient is zero.
/// Deterministic on every backend.
/// </summary>
/// <remarks>Source: A. Radford et al., "Learning Transferable Visual Models From Natural Language Supervision", 2021, figure 3.</remarks>
public static class L2Norm
{
    /// <summary>Normalises rows. No rows are allowed; then nothing is done. A NaN makes its row NaN; an infinity becomes NaN and the rest of its row zero.</summary>
    /// <param name="input">(B, E), float32 or bfloat16.</param>
    /// <param name="output">(B, E), the type of <paramref name="input"/>; overwritten; may be <paramref name="input"/> itself.</param>
    /// <param name="norm">(B), float32: the Euclidean length of each row; overwritten.</param>
    /// <exception cref="ArgumentException">A tensor is absent, has another shape or type, or lies on another device.</exception>
    /// <exception cref="NotSupportedException">The device has no backend for this operation.</exception>
    public static void Forward(in Tensor input, in Tensor output, in Tensor norm)
    {
        Check.IsFloating(input, 2);
        Device device = input.Device;
        Check.Is(output, input.Shape, input.DType, device);
        Check.Is(norm, new Shape(input.Shape[0]), DType.Float32, device);
        using OperationTimer timer = OperationTimer.Start(device, "L2Norm.Forward");
        switch (device.Kind)
        {
            case DeviceKind.Plan:
                break;
            case DeviceKind.Cpu:
                CpuL2Norm.Forward(input, output, norm);
                break;
            case DeviceKind.Cuda:
                CudaL2Norm.Forward(input, output, norm);
                break;
            default:
                throw Check.NoBackend(device);
        }
    }

    /// <summary>The gradient of <see cref="Forward"/>: <c>dInput = (dOutput - output (output . dOutput)) / norm</c>.</summary>
    /// <param name="dOutput">(B, E), float32 or bfloat16.</param>
    /// <param name="output">(B, E), of the forward pass.</param>
    /// <param name="norm">(B), float32, of the forward pass.</param>
    /// <param name="dInput">(B, E), the type of <paramref name="dOutput"/>; overwritten (=); may be <paramref name="dOutput"/> itself.</param>
    /// <exception cref="ArgumentException">A tensor is absent, has another shape or type, or lies on another device.</exception>
    /// <exception cref="NotSupportedException">The device has no backend for this operation.</exception>
    public static void Backward(in Tensor dOutput, in Tensor output, in Tensor norm, in Tensor dInput)
    {
        Check.IsFloating(dOutput, 2);
        Device device = dOutput.Device;
        Check.Is(output, dOutput.Shape, dOutput.DType, device);
        Check.Is(norm, new Shape(dOutput.Shape[0]), DType.Float32, device);
        Check.Is(dInput, dOutput.Shape, dOutput.DType, device);
        using OperationTimer timer = OperationTimer.Start(device, "L2Norm.Backward");
        switch (device.Kind)
        {
            case DeviceKind.Plan:
                break;
            case DeviceKind.Cpu:
                CpuL2Norm.Backward(dOutput, output, norm, dInput);
                break;
            case DeviceKind.Cuda:
                CudaL2Norm.Backward(dOutput, output, norm, dInput);
                break;
            default:
                throw Check.NoBackend(device);
        }
    }
}
