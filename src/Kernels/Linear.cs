using CrossAlign.Kernels.Cpu;
using CrossAlign.Kernels.Cuda;
using CrossAlign.Runtime;

namespace CrossAlign.Kernels;

/// <summary>
/// A linear layer: <c>output = input weight^T + bias</c>, the weight stored as published checkpoints have it (outputs, inputs).
/// Products accumulate in float32. Deterministic; a row of the output depends on its own row of the input alone.
/// </summary>
public static class Linear
{
    /// <summary>Computes the layer. No rows are allowed; then nothing is done.</summary>
    /// <param name="input">(N, I), float32 or bfloat16.</param>
    /// <param name="weight">(O, I), float32 or bfloat16.</param>
    /// <param name="bias">(O), float32; absent for none.</param>
    /// <param name="output">(N, O), float32 or bfloat16; overwritten; must not overlap the inputs.</param>
    /// <exception cref="ArgumentException">A tensor is absent, has another shape or type, or lies on another device.</exception>
    /// <exception cref="NotSupportedException">The device has no backend for this operation.</exception>
    public static void Forward(in Tensor input, in Tensor weight, in Tensor bias, in Tensor output)
    {
        Check.IsFloating(input, 2);
        Check.IsFloating(weight, 2);
        Check.IsFloating(output, 2);
        Device device = input.Device;
        int outputs = weight.Shape[0];
        Check.Is(weight, new Shape(outputs, input.Shape[1]), weight.DType, device);
        Check.IsOrAbsent(bias, new Shape(outputs), DType.Float32, device);
        Check.Is(output, new Shape(input.Shape[0], outputs), output.DType, device);
        using OperationTimer timer = OperationTimer.Start(device, "Linear.Forward", 2L * input.Shape.Count * outputs);
        switch (device.Kind)
        {
            case DeviceKind.Plan:
                break;
            case DeviceKind.Cpu:
                CpuLinear.Forward(input, weight, bias, output);
                break;
            case DeviceKind.Cuda:
                CudaLinear.Forward(input, weight, bias, output);
                break;
            default:
                throw Check.NoBackend(device);
        }
    }

    /// <summary>
    /// The gradients of <see cref="Forward"/>: <c>dInput = dOutput weight</c>, <c>dWeight += dOutput^T input</c>, and <c>dBias</c> += the
    /// column sums of <c>dOutput</c>. Each of them may be absent: a frozen layer needs <paramref name="dInput"/> alone.
    /// </summary>
    /// <param name="dOutput">(N, O), float32 or bfloat16.</param>
    /// <param name="input">(N, I), float32 or bfloat16, of the forward pass; may be absent where <paramref name="dWeight"/> is.</param>
    /// <param name="weight">(O, I), float32 or bfloat16.</param>
    /// <param name="dInput">(N, I), float32 or bfloat16; overwritten (=), or added to (+=) with <paramref name="accumulateInput"/>; absent where it is not wanted; must not overlap the inputs.</param>
    /// <param name="dWeight">(O, I), float32; added to (+=); absent where it is not wanted.</param>
    /// <param name="dBias">(O), float32; added to (+=); absent where it is not wanted.</param>
    /// <param name="accumulateInput">Whether <paramref name="dInput"/> is added to.</param>
    /// <exception cref="ArgumentException">A tensor is absent, has another shape or type, or lies on another device.</exception>
    /// <exception cref="NotSupportedException">The device has no backend for this operation.</exception>
    public static void Backward(
        in Tensor dOutput, in Tensor input, in Tensor weight, in Tensor dInput, in Tensor dWeight, in Tensor dBias, bool accumulateInput = false)
    {
        Check.IsFloating(dOutput, 2);
        Check.IsFloating(weight, 2);
        Device device = dOutput.Device;
        int rows = dOutput.Shape[0];
        Shape weightShape = new(dOutput.Shape[1], weight.Shape[1]);
        Shape inputShape = new(rows, weight.Shape[1]);
        Check.Is(weight, weightShape, weight.DType, device);
        if (dWeight.IsPresent || input.IsPresent)
        {
            Check.IsFloating(input, 2);
            Check.Is(input, inputShape, input.DType, device);
        }

        if (dInput.IsPresent)
        {
            Check.IsFloating(dInput, 2);
            Check.Is(dInput, inputShape, dInput.DType, device);
        }

        Check.IsOrAbsent(dWeight, weightShape, DType.Float32, device);
        Check.IsOrAbsent(dBias, new Shape(weightShape[0]), DType.Float32, device);
        using OperationTimer timer = OperationTimer.Start(device, "Linear.Backward", 2L * rows * weightShape.Count * ((dInput.IsPresent ? 1 : 0) + (dWeight.IsPresent ? 1 : 0)));
        switch (device.Kind)
        {
            case DeviceKind.Plan:
                break;
            case DeviceKind.Cpu:
                CpuLinear.Backward(dOutput, input, weight, dInput, dWeight, dBias, accumulateInput);
                break;
            case DeviceKind.Cuda:
                CudaLinear.Backward(dOutput, input, weight, dInput, dWeight, dBias, accumulateInput);
                break;
            default:
                throw Check.NoBackend(device);
        }
    }
}
