using CrossAlign.Kernels.Cpu;
using CrossAlign.Kernels.Cuda;
using CrossAlign.Runtime;

namespace CrossAlign.Kernels;

/// <summary>
/// The Euclidean norm of all gradients together, and what clipping makes of it. The result stays on the device, where
/// <see cref="AdamW"/> reads it, so that a step does not wait for it. Summed in double, in a fixed order: deterministic on every
/// backend.
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
    /// <param name="parameters">Their gradients are read. None are allowed: the norm is 0.</param>
    /// <param name="maxNorm">The norm above which gradients are scaled down; infinite for no clipping.</param>
    /// <param name="result">(3), float32; overwritten with the norm, the factor and the flag.</param>
    /// <param name="gradientScale">What the gradients are to be multiplied by before anything else: 1 / n where they are the sum over n losses whose mean is trained.</param>
    /// <exception cref="ArgumentException"><paramref name="result"/> is absent, has another shape or type, or lies on another device.</exception>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="maxNorm"/> is not above 0, or <paramref name="gradientScale"/> is not a positive number.</exception>
    /// <exception cref="ObjectDisposedException">The parameters were disposed.</exception>
    public static void Run(AdamWParameters parameters, double maxNorm, in Tensor result, double gradientScale = 1)
    {
        ArgumentNullException.ThrowIfNull(parameters);
        if (!(gradientScale > 0) || double.IsInfinity(gradientScale))
        {
            throw new ArgumentOutOfRangeException(nameof(gradientScale), gradientScale, "It must be a positive number.");
        }

        if (!(maxNorm > 0))
        {
            throw new ArgumentOutOfRangeException(nameof(maxNorm), maxNorm, "It must be above 0; infinite for no clipping.");
        }

        Device device = parameters.Device;
        Check.Is(result, new Shape(ResultLength), DType.Float32, device);
        using OperationTimer timer = OperationTimer.Start(device, "GradientNorm");
        switch (device.Kind)
        {
            case DeviceKind.Plan:
                break;
            case DeviceKind.Cpu:
                CpuGradientNorm.Run(parameters.AsSpan(), maxNorm, result, gradientScale);
                break;
            case DeviceKind.Cuda:
                CudaGradientNorm.Run(parameters.Table!, maxNorm, result, gradientScale);
                break;
            default:
                throw Check.NoBackend(device);
        }
    }
}
