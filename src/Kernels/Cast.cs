using CrossAlign.Kernels.Cpu;
using CrossAlign.Kernels.Cuda;
using CrossAlign.Runtime;

namespace CrossAlign.Kernels;

/// <summary>Changes how numbers are stored.</summary>
public static class Cast
{
    /// <summary>
    /// <c>output = input</c> in the type of <paramref name="output"/>: float32 to bfloat16 rounds to nearest even, a NaN stays a NaN, and
    /// numbers beyond the range become infinite; bfloat16 to float32 is exact; equal types are copied.
    /// </summary>
    /// <param name="input">Any shape, float32 or bfloat16.</param>
    /// <param name="output">The shape of <paramref name="input"/>, float32 or bfloat16; overwritten; must not overlap <paramref name="input"/>.</param>
    /// <exception cref="ArgumentException">A tensor is absent, has another shape or type, or lies on another device.</exception>
    /// <exception cref="NotSupportedException">The device has no backend for this operation.</exception>
    public static void Run(in Tensor input, in Tensor output)
    {
        Check.IsFloating(input);
        Check.IsFloating(output);
        Device device = input.Device;
        Check.Is(output, input.Shape, output.DType, device);
        using OperationTimer timer = OperationTimer.Start(device, "Cast");
        switch (device.Kind)
        {
            case DeviceKind.Plan:
                break;
            case DeviceKind.Cpu:
                CpuCast.Run(input, output);
                break;
            case DeviceKind.Cuda:
                CudaCast.Run(input, output);
                break;
            default:
                throw Check.NoBackend(device);
        }
    }
}
