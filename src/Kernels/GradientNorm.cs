using CrossAlign.Kernels.Cpu;
using CrossAlign.Runtime;

namespace CrossAlign.Kernels;

/// <summary>
/// The Euclidean norm of all gradients together, and what clipping makes of it. The result stays on the device, where
/// <see cref="AdamW"/> reads it, so that a step does not wait for it. Summed in double on the CPU, in a fixed order: deterministic
/// on every backend.
/// </summary>
/// <remarks>Source: R. Pascanu, T. Mikolov, Y. Bengio, "On the difficulty of training recurrent neural networks", 2013, algorithm 1.</remarks>
public static class GradientNorm
{
    /// <summary>The length of the result: the norm, the clip factor, and 1 if all gradients are finite, else 0.</summary>
    public const int ResultLength = 3;

    /// <summary>
    /// <c>norm = scale ||g||</c>, <c>factor = scale min(1, maxNorm / (norm + 1e-6))</c>. If a gradient is not finite, the norm is what
    /// it is, the factor 0 and the flag 0.
    /// </summary>
    /// <param name="parameters">All on one device; their gradients are read. None are allowed: the norm is 0.</param>
    /// <param name="maxNorm">The norm above which gradients are scaled down; infinite for no clipping.</param>
    /// <param name="result">(3), float32; overwritten with the norm, the factor and the flag.</param>
    /// <param name="gradientScale">What the gradients are to be multiplied by before anything else: 1 / n where they are the sum over n losses whose mean is trained.</param>
    /// <exception cref="ArgumentNullException">A parameter is null.</exception>
    /// <exception cref="ArgumentException">The parameters lie on different devices; or <paramref name="result"/> is absent, has another shape or type, or lies elsewhere.</exception>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="maxNorm"/> is not above 0, or <paramref name="gradientScale"/> is not a positive number.</exception>
    /// <exception cref="NotSupportedException">The device has no backend for this operation.</exception>
    public static void Run(ReadOnlySpan<AdamWParameter> parameters, double maxNorm, in Tensor result, double gradientScale = 1)
    {
        if (!(gradientScale > 0) || double.IsInfinity(gradientScale))
        {
            throw new ArgumentOutOfRangeException(nameof(gradientScale), gradientScale, "It must be a positive number.");
        }

        if (!(maxNorm > 0))
        {
            throw new ArgumentOutOfRangeException(nameof(maxNorm), maxNorm, "It must be above 0; infinite for no clipping.");
        }

        if (!result.IsPresent)
        {
            throw new ArgumentException($"result is absent; it must be Float32 ({ResultLength}).", nameof(result));
        }

        Device device = parameters.IsEmpty ? result.Device : CheckDevice(parameters);
        Check.Is(result, new Shape(ResultLength), DType.Float32, device);
        using OperationTimer timer = OperationTimer.Start(device, "GradientNorm");
        switch (device.Kind)
        {
            case DeviceKind.Cpu:
                CpuGradientNorm.Run(parameters, maxNorm, result, gradientScale);
                break;
            default:
                throw Check.NoBackend(device);
        }
    }

    internal static Device CheckDevice(ReadOnlySpan<AdamWParameter> parameters)
    {
        for (int i = 0; i < parameters.Length; i++)
        {
            ArgumentNullException.ThrowIfNull(parameters[i], nameof(parameters));
            if (!ReferenceEquals(parameters[i].Weight.Device, parameters[0].Weight.Device))
            {
                throw new ArgumentException(
                    $"Parameter {i} lies on {parameters[i].Weight.Device.Name}, parameter 0 on {parameters[0].Weight.Device.Name}.", nameof(parameters));
            }
        }

        return parameters[0].Weight.Device;
    }
}
