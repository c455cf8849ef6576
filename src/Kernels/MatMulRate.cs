using System.Diagnostics;
using CrossAlign.Kernels.Cpu.Products;
using CrossAlign.Runtime;
using CrossAlign.Runtime.Cuda;

namespace CrossAlign.Kernels;

/// <summary>Measures how fast a device multiplies matrices: the yardstick that <c>doctor</c> prints and <c>profile</c> compares with.</summary>
public static class MatMulRate
{
    // 10^9 operations: large enough to keep every thread busy, some 10 ms on a small machine. A GPU is done with that before the next
    // launch is there: for it 1.4 10^11.
    private const int CpuSide = 1024;
    private const int CpuDepth = 512;
    private const int CudaSide = 4096;
    private const int CudaDepth = 4096;

    /// <summary>The extents of the products that are timed: M = N, and K.</summary>
    /// <param name="device">The device.</param>
    /// <returns>(1024, 512); on a real CUDA device (4096, 4096).</returns>
    public static (int Side, int Depth) Extents(Device device) =>
        device is CudaDevice { Emulation: null } ? (CudaSide, CudaDepth) : (CpuSide, CpuDepth);

    /// <summary>Whether a device has a unit for products of bfloat16: every CUDA device, and a processor with AVX512_BF16. Others multiply the rounded numbers as float32.</summary>
    /// <param name="device">The device.</param>
    /// <returns>Whether it has.</returns>
    /// <exception cref="ArgumentNullException"><paramref name="device"/> is null.</exception>
    public static bool HasBFloat16Unit(Device device)
    {
        ArgumentNullException.ThrowIfNull(device);
        return device.Kind == DeviceKind.Cuda || (device.Kind == DeviceKind.Cpu && BFloat16Products.Mode == BFloat16Mode.Native);
    }

    /// <summary>
    /// Multiplies (M, K) with the transpose of (N, K) until <paramref name="duration"/> is over and takes the fastest call, which other
    /// programs on the machine disturb least; <see cref="Extents"/> has M, N and K.
    /// </summary>
    /// <param name="device">The device to measure; its precision setting is restored.</param>
    /// <param name="precision">How operands are treated; for <see cref="MatMulPrecision.BFloat16"/> they are stored as bfloat16, so that nothing is rounded on the way.</param>
    /// <param name="duration">How long to measure; at least three calls are made.</param>
    /// <returns>GFLOP/s: 2 M N K operations over the time of the fastest call.</returns>
    /// <exception cref="ArgumentNullException"><paramref name="device"/> is null.</exception>
    /// <exception cref="NotSupportedException">The device does not have the precision, or no backend for matrix products.</exception>
    public static double MeasureGflops(Device device, MatMulPrecision precision, TimeSpan duration)
    {
        ArgumentNullException.ThrowIfNull(device);
        MatMulPrecision before = device.MatMulPrecision;
        device.MatMulPrecision = precision;
        (int side, int depth) = Extents(device);
        DType dtype = precision == MatMulPrecision.BFloat16 ? DType.BFloat16 : DType.Float32;
        Tensor a = device.NewTensor(dtype, new Shape(side, depth));
        Tensor b = device.NewTensor(dtype, new Shape(side, depth));
        Tensor output = device.NewTensor(DType.Float32, new Shape(side, side));
        try
        {
            float[] values = new float[side * depth];
            CounterRandom random = new(1, 0x4A7E, 0);
            for (int i = 0; i < values.Length; i++)
            {
                values[i] = random.NextNormal();
            }

            foreach (Tensor operand in (ReadOnlySpan<Tensor>)[a, b])
            {
                if (dtype == DType.BFloat16)
                {
                    operand.CopyFrom<BFloat16>(Array.ConvertAll(values, BFloat16.FromSingle));
                }
                else
                {
                    operand.CopyFrom<float>(values);
                }
            }

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

            return 2.0 * side * side * depth / fastest / 1e9;
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
