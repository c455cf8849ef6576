using System.Diagnostics;
using CrossAlign.Runtime;

namespace CrossAlign.Models.Diagnostics;

/// <summary>Measures how fast memory is copied: what bounds every operation that is not a matrix product.</summary>
public static class CopyRate
{
    // Larger than any last-level cache that it is likely to meet.
    private const int ByteCount = 128 << 20;

    /// <summary>Copies 128 MiB within a device until <paramref name="duration"/> is over; at least three times.</summary>
    /// <param name="device">The device to measure.</param>
    /// <param name="duration">How long to measure.</param>
    /// <returns>GB/s of the fastest copy: bytes read plus bytes written over its time.</returns>
    /// <exception cref="ArgumentNullException"><paramref name="device"/> is null.</exception>
    public static double MeasureWithin(Device device, TimeSpan duration)
    {
        ArgumentNullException.ThrowIfNull(device);
        Tensor source = device.NewTensor(DType.Float32, new Shape(ByteCount / sizeof(float)));
        Tensor destination = device.NewTensor(DType.Float32, new Shape(ByteCount / sizeof(float)));
        try
        {
            return 2 * Fastest(device, duration, () => device.Copy(source, destination));
        }
        finally
        {
            source.Memory.Dispose();
            destination.Memory.Dispose();
        }
    }

    /// <summary>Copies 128 MiB from the host to a device, as batches are, until <paramref name="duration"/> is over; at least three times.</summary>
    /// <param name="device">The device to measure.</param>
    /// <param name="duration">How long to measure.</param>
    /// <returns>GB/s of the fastest copy: bytes over its time.</returns>
    /// <exception cref="ArgumentNullException"><paramref name="device"/> is null.</exception>
    public static double MeasureToDevice(Device device, TimeSpan duration)
    {
        ArgumentNullException.ThrowIfNull(device);
        byte[] host = new byte[ByteCount];
        Tensor destination = device.NewTensor(DType.Float32, new Shape(ByteCount / sizeof(float)));
        try
        {
            return Fastest(device, duration, () => device.CopyFromHost(host, destination));
        }
        finally
        {
            destination.Memory.Dispose();
        }
    }

    private static double Fastest(Device device, TimeSpan duration, Action copy)
    {
        // The first copy touches pages that the operating system has yet to give.
        copy();
        device.Synchronize();
        double fastest = double.PositiveInfinity;
        long start = Stopwatch.GetTimestamp();
        for (int call = 0; call < 3 || Stopwatch.GetElapsedTime(start) < duration; call++)
        {
            long callStart = Stopwatch.GetTimestamp();
            copy();
            device.Synchronize();
            fastest = Math.Min(fastest, Stopwatch.GetElapsedTime(callStart).TotalSeconds);
        }

        return ByteCount / fastest / 1e9;
    }
}
