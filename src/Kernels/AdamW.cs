using CrossAlign.Kernels.Cpu;
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
    /// <param name="parameters">All on one device. None are allowed; then nothing is done.</param>
    /// <param name="settings">The numbers of this step.</param>
    /// <param name="gradientNorm">(3), float32, of <see cref="GradientNorm.Run"/>: gradients are multiplied by its clip factor, and where its flag says that they are not finite nothing is changed. Absent: no clipping, and the step is always made.</param>
    /// <exception cref="ArgumentNullException">A parameter is null.</exception>
    /// <exception cref="ArgumentException">The parameters lie on different devices; or <paramref name="gradientNorm"/> has another shape or type, or lies elsewhere.</exception>
    /// <exception cref="ArgumentOutOfRangeException">The step is below 1, or a setting is not a number of its range.</exception>
    /// <exception cref="NotSupportedException">The device has no backend for this operation.</exception>
    public static void Step(ReadOnlySpan<AdamWParameter> parameters, in AdamWSettings settings, in Tensor gradientNorm = default)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(settings.Step, 1, nameof(settings));
        if (!(settings.Beta1 >= 0 && settings.Beta1 < 1 && settings.Beta2 >= 0 && settings.Beta2 < 1 && settings.Epsilon >= 0)
            || !double.IsFinite(settings.LearningRate))
        {
            throw new ArgumentOutOfRangeException(nameof(settings), settings, "Betas lie from 0 to less than 1, epsilon is not negative, the learning rate is finite.");
        }

        if (parameters.IsEmpty)
        {
            return;
        }

        Device device = GradientNorm.CheckDevice(parameters);
        Check.IsOrAbsent(gradientNorm, new Shape(GradientNorm.ResultLength), DType.Float32, device);
        using OperationTimer timer = OperationTimer.Start(device, "AdamW.Step");
        switch (device.Kind)
        {
            case DeviceKind.Cpu:
                CpuAdamW.Step(parameters, settings, gradientNorm);
                break;
            default:
                throw Check.NoBackend(device);
        }
    }
}
