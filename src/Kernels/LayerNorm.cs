using CrossAlign.Kernels.Cpu;
using CrossAlign.Kernels.Cuda;
using CrossAlign.Runtime;

namespace CrossAlign.Kernels;

/// <summary>
/// Layer normalisation of rows: <c>output = (x - mean) * rstd * weight + bias</c> with the population variance,
/// <c>rstd = 1 / sqrt(variance + epsilon)</c>. Deterministic on every backend.
/// </summary>
/// <remarks>Source: J. L. Ba, J. R. Kiros, G. E. Hinton, "Layer Normalization", 2016, equation 4.</remarks>
public static class LayerNorm
{
    /// <summary>Normalises the rows of <paramref name="input"/>. No rows are allowed; then nothing is done.</summary>
    /// <param name="input">(N, C), float32 or bfloat16.</param>
    /// <param name="weight">(C), float32.</param>
    /// <param name="bias">(C), float32.</param>
    /// <param name="output">(N, C), the type of <paramref name="input"/>; overwritten; may be <paramref name="input"/> itself.</param>
    /// <param name="mean">(N), float32; overwritten.</param>
    /// <param name="rstd">(N), float32; overwritten.</param>
    /// <param name="epsilon">Added to the variance; 1e-5 for XLM-R, 1e-12 for ViT and BERT.</param>
    /// <exception cref="ArgumentException">A tensor is absent, has another shape or type, or lies on another device.</exception>
    /// <exception cref="NotSupportedException">The device has no backend for this operation.</exception>
    public static void Forward(
        in Tensor input, in Tensor weight, in Tensor bias, in Tensor output, in Tensor mean, in Tensor rstd, float epsilon) =>
        Forward(input, default, default, weight, bias, output, mean, rstd, epsilon);

    /// <summary>Adds a residual and normalises: <c>sum = input + residual</c>, <c>output = norm(sum)</c>, in one sweep.</summary>
    /// <param name="input">(N, C), float32 or bfloat16.</param>
    /// <param name="residual">(N, C), the type of <paramref name="input"/>; absent for none.</param>
    /// <param name="sum">(N, C), the type of <paramref name="input"/>; overwritten; may be <paramref name="input"/> or <paramref name="residual"/>; absent where there is no residual.</param>
    /// <param name="weight">(C), float32.</param>
    /// <param name="bias">(C), float32.</param>
    /// <param name="output">(N, C), the type of <paramref name="input"/>; overwritten; must not be <paramref name="sum"/>.</param>
    /// <param name="mean">(N), float32; overwritten.</param>
    /// <param name="rstd">(N), float32; overwritten.</param>
    /// <param name="epsilon">Added to the variance.</param>
    /// <exception cref="ArgumentException">A tensor is absent, has another shape or type, or lies on another device.</exception>
    /// <exception cref="NotSupportedException">The device has no backend for this operation.</exception>
    public static void Forward(
        in Tensor input, in Tensor residual, in Tensor sum, in Tensor weight, in Tensor bias, in Tensor output, in Tensor mean, in Tensor rstd, float epsilon)
    {
        Check.IsFloating(input, 2);
        Device device = input.Device;
        Shape perRow = new(input.Shape[0]);
        Shape perColumn = new(input.Shape[1]);
        Check.IsOrAbsent(residual, input.Shape, input.DType, device);
        Check.IsOrAbsent(sum, input.Shape, input.DType, device);
        if (residual.IsPresent != sum.IsPresent)
        {
            throw new ArgumentException("A residual needs a place for the sum, and a sum a residual.", nameof(sum));
        }

        Check.Is(weight, perColumn, DType.Float32, device);
        Check.Is(bias, perColumn, DType.Float32, device);
        Check.Is(output, input.Shape, input.DType, device);
        Check.Is(mean, perRow, DType.Float32, device);
        Check.Is(rstd, perRow, DType.Float32, device);
        using OperationTimer timer = OperationTimer.Start(device, "LayerNorm.Forward");
        switch (device.Kind)
        {
            case DeviceKind.Plan:
                break;
            case DeviceKind.Cpu:
                CpuLayerNorm.Forward(input, residual, sum, weight, bias, output, mean, rstd, epsilon);
                break;
            case DeviceKind.Cuda:
                CudaLayerNorm.Forward(input, residual, sum, weight, bias, output, mean, rstd, epsilon);
                break;
            default:
                throw Check.NoBackend(device);
        }
    }

    /// <summary>The gradients of <see cref="Forward(in Tensor, in Tensor, in Tensor, in Tensor, in Tensor, in Tensor, float)"/>.</summary>
    /// <param name="dOutput">(N, C), the type of <paramref name="input"/>.</param>
    /// <param name="input">(N, C), what was normalised (the sum where there was a residual).</param>
    /// <param name="weight">(C), float32.</param>
    /// <param name="mean">(N), float32, of the forward pass.</param>
    /// <param name="rstd">(N), float32, of the forward pass.</param>
    /// <param name="dInput">(N, C), the type of <paramref name="input"/>; overwritten (=), or added to (+=) with <paramref name="accumulateInput"/>; may be <paramref name="dOutput"/> itself where it is overwritten.</param>
    /// <param name="dWeight">(C), float32; added to (+=).</param>
    /// <param name="dBias">(C), float32; added to (+=).</param>
    /// <param name="accumulateInput">Whether <paramref name="dInput"/> is added to: the residual path of a pre-LN block.</param>
    /// <exception cref="ArgumentException">A tensor is absent, has another shape or type, or lies on another device.</exception>
    /// <exception cref="NotSupportedException">The device has no backend for this operation.</exception>
    public static void Backward(
        in Tensor dOutput, in Tensor input, in Tensor weight, in Tensor mean, in Tensor rstd, in Tensor dInput, in Tensor dWeight, in Tensor dBias, bool accumulateInput = false)
    {
        Check.IsFloating(input, 2);
        Device device = input.Device;
        Shape perRow = new(input.Shape[0]);
        Shape perColumn = new(input.Shape[1]);
        Check.Is(dOutput, input.Shape, input.DType, device);
        Check.Is(weight, perColumn, DType.Float32, device);
        Check.Is(mean, perRow, DType.Float32, device);
        Check.Is(rstd, perRow, DType.Float32, device);
        Check.Is(dInput, input.Shape, input.DType, device);
        Check.Is(dWeight, perColumn, DType.Float32, device);
        Check.Is(dBias, perColumn, DType.Float32, device);
        using OperationTimer timer = OperationTimer.Start(device, "LayerNorm.Backward");
        switch (device.Kind)
        {
            case DeviceKind.Plan:
                break;
            case DeviceKind.Cpu:
                CpuLayerNorm.Backward(dOutput, input, weight, mean, rstd, dInput, dWeight, dBias, accumulateInput);
                break;
            case DeviceKind.Cuda:
                CudaLayerNorm.Backward(dOutput, input, weight, mean, rstd, dInput, dWeight, dBias, accumulateInput);
                break;
            default:
                throw Check.NoBackend(device);
        }
    }
}
