using System.Diagnostics;
using System.Globalization;
using CrossAlign.Kernels;
using CrossAlign.Runtime;
using CrossAlign.Runtime.Cuda;

namespace CrossAlign.Models.Profiling;

/// <summary>
/// Measures the fused loss on a CUDA device: its memory, its operations and, on a GPU, its time. An emulated device executes the same kernels, but
/// how long that takes says nothing of a GPU, so that it is not reported. The naive loss is written for the processor.
/// </summary>
/// <param name="device">The device; its precision is set.</param>
/// <param name="duration">How long to time one case, at least three calls.</param>
public sealed class CudaLossProfiler(CudaDevice device, TimeSpan duration)
{
    private const int MinCalls = 3;
    private const int MaxCalls = 100;

    // An emulated device does some 2 10^8 a second (two cores, B = 512, E = 64, float32): an hour and a half.
    private const double MaxEmulatedArithmetic = 1e12;

    private static readonly TimeSpan s_burst = TimeSpan.FromMilliseconds(20);

    /// <summary>A case is left out where a call would take longer, as it is predicted by its operations and the rate of a plain product.</summary>
    public TimeSpan LongestCall { get; init; } = LossProfileCase.DefaultLongestCall;

    /// <summary>Measures one case.</summary>
    /// <param name="profiled">Which.</param>
    /// <param name="cancellation">Ends the measurement after the current call.</param>
    /// <returns>The measurements, or why there are none.</returns>
    /// <exception cref="OperationCanceledException">Nothing was measured yet.</exception>
    public LossProfileRow Measure(LossProfileCase profiled, CancellationToken cancellation)
    {
        ArgumentNullException.ThrowIfNull(profiled);
        cancellation.ThrowIfCancellationRequested();
        LossProfileRow row = profiled.NewRow(DeviceKind.Cuda, device.MemoryByteCount - device.Pool.LiveByteCount) with
        {
            NaiveRefusal = "is written for the processor",
        };
        if (row.Refusal is not null)
        {
            return row;
        }

        device.MatMulPrecision = profiled.MatMulPrecision;
        row = device.Emulation is null ? profiled.Predict(row, MatMulRate.MeasureGflops(device, profiled.MatMulPrecision, s_burst), LongestCall)
            : profiled.ExpectedArithmetic <= MaxEmulatedArithmetic ? row
            : row with
            {
                Refusal = string.Create(
                    CultureInfo.InvariantCulture, $"takes {profiled.ExpectedArithmetic:G3} operations a call; the emulated device is given {MaxEmulatedArithmetic:G3} at most, which take it hours"),
            };
        if (row.Refusal is not null)
        {
            return row;
        }

        using LossProfileTensors tensors = new(device, profiled);
        long before = device.Pool.LiveByteCount;
        using SimilarityCrossEntropyWorkspace workspace = new(device, profiled.Options, profiled.BatchSize, profiled.BatchSize, profiled.Width);
        double first = Time(() => SimilarityCrossEntropy.ForwardBackward(workspace, tensors.Inputs, tensors.Outputs, tensors.Gradients));
        row = row with { Calls = 1, MemoryBytes = device.Pool.LiveByteCount - before, Arithmetic = workspace.OperationCount };
        return device.Emulation is null ? Time(row, profiled, tensors, workspace, first, cancellation) : row;
    }

    private LossProfileRow Time(
        LossProfileRow row, LossProfileCase profiled, LossProfileTensors tensors, SimilarityCrossEntropyWorkspace workspace, double first, CancellationToken cancellation)
    {
        // The first call loads the kernels.
        List<double> times = [];
        List<double> forwards = [];
        List<double> rates = [];
        long start = Stopwatch.GetTimestamp();
        while (times.Count < MinCalls || (times.Count < MaxCalls && Stopwatch.GetElapsedTime(start) < duration))
        {
            times.Add(Time(() => SimilarityCrossEntropy.ForwardBackward(workspace, tensors.Inputs, tensors.Outputs, tensors.Gradients)));
            forwards.Add(Time(() => SimilarityCrossEntropy.Forward(workspace, tensors.Inputs, tensors.Outputs)));
            rates.Add(MatMulRate.MeasureGflops(device, profiled.MatMulPrecision, s_burst));
            if (cancellation.IsCancellationRequested || first > duration.TotalSeconds)
            {
                break;
            }
        }

        double median = LossProfiler.Quantile(times, 0.5);
        double rate = LossProfiler.Quantile(rates, 0.5);
        double gflops = row.Arithmetic!.Value / median / 1e9;
        return row with
        {
            Calls = times.Count,
            Milliseconds = 1e3 * median,
            MillisecondsP20 = 1e3 * LossProfiler.Quantile(times, 0.2),
            MillisecondsP80 = 1e3 * LossProfiler.Quantile(times, 0.8),
            ForwardMilliseconds = 1e3 * LossProfiler.Quantile(forwards, 0.5),
            Gflops = gflops,
            PeakGflops = rate,
            ShareOfPeak = gflops / rate,
        };
    }

    private double Time(Action call)
    {
        device.Synchronize();
        long start = Stopwatch.GetTimestamp();
        call();
        device.Synchronize();
        return Stopwatch.GetElapsedTime(start).TotalSeconds;
    }
}
