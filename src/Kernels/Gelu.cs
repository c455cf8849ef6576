using CrossAlign.Kernels.Cpu;
using CrossAlign.Kernels.Cuda;
using CrossAlign.Runtime;

namespace CrossAlign.Kernels;

/// <summary>
/// The Gaussian error linear unit with the bias of the preceding linear layer fused in: <c>output = gelu(input + bias)</c>.
/// Deterministic on every backend.
/// </summary>
/// <remarks>Source: D. Hendrycks, K. Gimpel, "Gaussian Error Linear Units", 2016, equations 2 and 3.</remarks>
public static class Gelu
{
    /// <summary>Applies the unit to each element. No rows are allowed; then nothing is done. NaN stays NaN.</summary>
    /// <param name="kind">Which form.</param>
    /// <param name="input">(N, C), float32 or bfloat16.</param>
    /// <param name="bias">(C), float32; absent for none.</param>
    /// <param name="output">(N, C), the type of <paramref name="input"/>; overwritten; may be <paramref name="input"/> itself.</param>
    /// <exception cref="ArgumentException">A tensor is absent, has another shape or type, or lies on another device.</exception>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="kind"/> is not one of the enumeration's values.</exception>
    /// <exception cref="NotSupportedException">The device has no backend for this operation.</exception>
    public static void Forward(GeluKind kind, in Tensor input, in Tensor bias, in Tensor output)
    {
        CheckKind(kind);
        Check.IsFloating(input, 2);
        Device device = input.Device;
        Check.IsOrAbsent(bias, new Shape(input.Shape[1]), DType.Float32, device);
        Check.Is(output, input.Shape, input.DType, device);
        using OperationTimer timer = OperationTimer.Start(device, "Gelu.Forward");
        switch (device.Kind)
        {
            case DeviceKind.Plan:
                break;
            case DeviceKind.Cpu:
                CpuGelu.Forward(kind, input, bias, output);
                break;
            case DeviceKind.Cuda:
                CudaGelu.Forward(kind, input, bias, output);
                break;
            default:
                throw Check.NoBackend(device);
        }
    }

    /// <summary>The gradients of <see cref="Forward"/>.</summary>
    /// <param name="kind">Which form.</param>
    /// <param name="dOutput">(N, C), the type of <paramref name="input"/>.</param>
    /// <param name="input">(N, C), float32 or bfloat16: what the forward pass read, without the bias.</param>
    /// <param name="bias">(C), float32; absent for none.</param>
    /// <param name="dInput">(N, C), the type of <paramref name="input"/>; overwritten (=); may be <paramref name="dOutput"/> itself.</param>
    /// <param name="dBias">(C), float32; added to (+=); absent where it is not wanted. Summed over the rows before <paramref name="dInput"/> is rounded to its type.</param>
    /// <exception cref="ArgumentException">A tensor is absent, has another shape or type, or lies on another device.</exception>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="kind"/> is not one of the enumeration's values.</exception>
    /// <exception cref="NotSupportedException">The device has no backend for this operation.</exception>
    public static void Backward(
        GeluKind kind, in Tensor dOutput, in Tensor input, in Tensor bias, in Tensor dInput, in Tensor dBias)
    {
        CheckKind(kind);
        Check.IsFloating(input, 2);
        Device device = input.Device;
        Shape perColumn = new(input.Shape[1]);
        Check.Is(dOutput, input.Shape, input.DType, device);
        Check.IsOrAbsent(bias, perColumn, DType.Float32, device);
        Check.Is(dInput, input.Shape, input.DType, device);
        Check.IsOrAbsent(dBias, perColumn, DType.Float32, device);
        using OperationTimer timer = OperationTimer.Start(device, "Gelu.Backward");
        switch (device.Kind)
        {
            case DeviceKind.Plan:
                break;
            case DeviceKind.Cpu:
                CpuGelu.Backward(kind, dOutput, input, bias, dInput, dBias);
                break;
            case DeviceKind.Cuda:
                CudaGelu.Backward(kind, dOutput, input, bias, dInput, dBias);
                break;
            default:
                throw Check.NoBackend(device);
        }
    }

    private static void CheckKind(GeluKind kind)
    {
        if (kind is not (GeluKind.Erf or GeluKind.Tanh or GeluKind.Quick))
        {
            throw new ArgumentOutOfRangeException(nameof(kind), kind, "Not a form of GELU.");
        }
    }
}
