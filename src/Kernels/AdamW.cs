using CrossAlign.Kernels.Cpu;
using CrossAlign.Kernels.Cuda;
using CrossAlign.Runtime;

namespace CrossAlign.Kernels;

/// <summary>
/// Adam with decoupled weight decay, over all parameters in one call. In this order, with n the step and f the clip factor:
/// <c>g = f g; p *= 1 - lr decay; m = b1 m + (1 - b1) g; v = b2 v + (1 - b2) g^2;
/// p -= lr (m / (1 - b1^n)) / (sqrt(v / (1 - b2^n)) + epsilon); p = min(p, maximum)</c>. Deterministic on every backend.
/// </summary>
/// <remarks>
/// Sources: D. P. Kingma, J. Ba, "Adam", 2015, algorithm 1; I. Loshchilov, F. Hutter, "Decoupled Weight Decay Regularization",
/// 2019, algorithm 2 (with the decay multiplied by the learning rate, as is usual since).
/// </remarks>
public static class AdamW
{
    /// <summary>Updates weights, moments and the bfloat16 copies. A row-sparse gradient gives the bits of the dense one.</summary>
    /// <param name="parameters">None are allowed; then nothing is done.</param>
    /// <param name="settings">The numbers of this step. In a captured graph they are those of the capture: see the other overload.</param>
    /// <param name="gradientNorm">(3), float32, of <see cref="GradientNorm.Run"/>: gradients are multiplied by its clip factor, and where its flag says that they are not finite nothing is changed. Absent: no clipping, and the step is always made.</param>
    /// <exception cref="ArgumentException"><paramref name="gradientNorm"/> has another shape or type, or lies on another device.</exception>
    /// <exception cref="ArgumentOutOfRangeException">The step is below 1, or a setting is not a number of its range.</exception>
    /// <exception cref="ObjectDisposedException">The parameters were disposed.</exception>
    public static void Step(AdamWParameters parameters, in AdamWSettings settings, in Tensor gradientNorm = default)
    {
        ArgumentNullException.ThrowIfNull(parameters);
        Device device = parameters.Device;
        Check.IsOrAbsent(gradientNorm, new Shape(GradientNorm.ResultLength), DType.Float32, device);
        Span<float> numbers = stackalloc float[AdamWSettings.StoredLength];
        settings.Write(numbers);
        using OperationTimer timer = OperationTimer.Start(device, "AdamW.Step");
        switch (device.Kind)
        {
            case DeviceKind.Plan:
                break;
            case DeviceKind.Cpu:
                CpuAdamW.Step(parameters, numbers, gradientNorm);
                break;
            case DeviceKind.Cuda:
                parameters.Table!.Settings.CopyFrom<float>(numbers);
                CudaAdamW.Step(parameters.Table, parameters.Table.Settings, gradientNorm);
                break;
            default:
                throw Check.NoBackend(device);
        }
    }

    /// <summary>
    /// The same step with numbers that lie on the device and are read when the step runs, to the bit: in a captured graph each replay
    /// makes the step whose numbers were written last (<see cref="AdamWSettings.Store"/>).
    /// </summary>
    /// <param name="parameters">None are allowed; then nothing is done.</param>
    /// <param name="storedSettings">(8), float32, of <see cref="AdamWSettings.Store"/>.</param>
    /// <param name="gradientNorm">(3), float32, as for the other overload.</param>
    /// <exception cref="ArgumentException">A tensor is absent, has another shape or type, or lies on another device.</exception>
    /// <exception cref="ObjectDisposedException">The parameters were disposed.</exception>
    public static void Step(AdamWParameters parameters, in Tensor storedSettings, in Tensor gradientNorm = default)
    {
        ArgumentNullException.ThrowIfNull(parameters);
        Device device = parameters.Device;
        Check.Is(storedSettings, new Shape(AdamWSettings.StoredLength), DType.Float32, device);
        Check.IsOrAbsent(gradientNorm, new Shape(GradientNorm.ResultLength), DType.Float32, device);
        using OperationTimer timer = OperationTimer.Start(device, "AdamW.Step");
        switch (device.Kind)
        {
            case DeviceKind.Plan:
                break;
            case DeviceKind.Cpu:
                CpuAdamW.Step(parameters, storedSettings.AsSpan<float>(), gradientNorm);
                break;
            case DeviceKind.Cuda:
                CudaAdamW.Step(parameters.Table!, storedSettings, gradientNorm);
                break;
            default:
                throw Check.NoBackend(device);
        }
    }
}
