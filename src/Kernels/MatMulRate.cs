using System.Diagnostics;
using CrossAlign.Runtime;

namespace CrossAlign.Kernels;

/// <summary>Measures how fast a device multiplies matrices: the yardstick that <c>doctor</c> prints and <c>profile</c> compares with.</summary>
public static class MatMulRate
{
    // 2 x 1024 x 1024 x 512 operations: large enough to keep every thread busy, some 10 ms on a small machine.
    private const int Side = 1024;
    private const int Depth = 512;

    /// <summary>
    /// Multiplies (1024, 512) with the transpose of (1024, 512) until <paramref name="duration"/> is over and takes the fastest call,
    /// which other programs on the machine disturb least.
    /// </summary>
    /// <param name="device">The device to measure; its precision setting is restored.</param>
    /// <param name="precision">How operands are treated.</param>
    /// <param name="duration">How long to measure; at least three calls are made.</param>
    /// <returns>GFLOP/s: 2 M N K operations over the time of the fastest call.</returns>
    /// <exception cref="ArgumentNullException"><paramref name="device"/> is null.</exception>
    /// <exception cref="NotSupportedException">The device does not have the precision, or no backend for matrix products.</exception>
    public static double MeasureGflops(Device device, MatMulPrecision precision, TimeSpan duration)
    {
        ArgumentNullException.ThrowIfNull(device);
        MatMulPrecision before = device.MatMulPrecision;
        device.MatMulPrecision = precision;
        Tensor a = device.NewTensor(DType.Float32, new Shape(Side, Depth));
        Tensor b = device.NewTensor(DType.Float32, new Shape(Side, Depth));
        Tensor output = device.NewTensor(DType.Float32, new Shape(Side, Side));
        try
        {
            float[] values = new float[Side * Depth];
            CounterRandom random = new(1, 0x4A7E, 0);
            for (int i = 0; i < values.Length; i++)
            {
                values[i] = random.NextNormal();
            }

            a.CopyFrom<float>(values);
            b.CopyFrom<float>(values);
            MatMul.Run(a, b, output, MatMulLayout.NT);
            device.Synchronize();
            double fastest = double.PositiveInfinity;
            long start = Stopwatch.GetTimestamp();
            for (int call = 0; call < 3 || Stopwatch.GetElapsedTime(start) < duration; call++)
            {
                long callStart = Stopwatch.GetTimestamp();
                MatMul.Run(a, b, output, MatMulLayout.NT);
                device.Synchronize();
                fastest = Math.Min(fastest, Stopwatch.GetElapsedTime(callStart).TotalSeconds);
            }

            return 2.0 * Side * Side * Depth / fastest / 1e9;
        }
        finally
        {
            a.Memory.Dispose();
            b.Memory.Dispose();
            output.Memory.Dispose();
            device.MatMulPrecision = before;
        }
    }
}
