using System.Diagnostics;
using System.Globalization;
using CrossAlign.Kernels;
using CrossAlign.Models.Training.Configuration;
using CrossAlign.Runtime;

namespace CrossAlign.Models.Profiling;

/// <summary>
/// Measures the fused loss: first against the naive one, then its time, call by call in turns with plain matrix products, so that what else the
/// machine does weighs on both alike.
/// </summary>
/// <param name="threads">Threads that compute; 0 for one a processor.</param>
/// <param name="duration">How long to time one case, at least one call.</param>
/// <param name="naive">Whether the naive loss is timed where it fits.</param>
public sealed class LossProfiler(int threads, TimeSpan duration, bool naive)
{
    // Fewer where one alone takes longer than a case may.
    private const int MinCalls = 3;
    private const int MaxCalls = 25;

    // Large enough for every sweep and product of a form.
    private const int WarmUpRows = 100;
    private const int WarmUpWidth = 24;

    // A naive loss that takes longer than so many times the duration of a case is left out: it shows nothing new.
    private const double NaivePatience = 20;

    // However short a case is.
    private const double LeastNaivePatience = 2;

    // Of fewer operations the time is that of their beginning, and says nothing of larger sizes.
    private const double TellingOperations = 1e9;

    // Of float32 sums over thousands of terms, and of operands with 8 bits of fraction.
    private const double Float32Agreement = 1e-3;
    private const double RoundedAgreement = 5e-2;

    private static readonly TimeSpan s_burst = TimeSpan.FromMilliseconds(20);

    /// <summary>The naive rate assumed before anything of it was measured, in operations a second; only decides whether to begin at all.</summary>
    private double _naiveRate = 20e9;

    /// <summary>A case is left out where a call would take longer, as it is predicted by its operations and the rate of a plain product.</summary>
    public TimeSpan LongestCall { get; init; } = LossProfileCase.DefaultLongestCall;

    /// <summary>Measures one case.</summary>
    /// <param name="profiled">Which.</param>
    /// <param name="cancellation">Ends the measurement after the current call: what was measured so far is kept, nothing where that is nothing.</param>
    /// <returns>The measurements, or why there are none.</returns>
    /// <exception cref="UserErrorException">The device does not have the precision, or the fused loss differs from the naive one.</exception>
    /// <exception cref="OperationCanceledException">Nothing was measured yet.</exception>
    public LossProfileRow Measure(LossProfileCase profiled, CancellationToken cancellation)
    {
        ArgumentNullException.ThrowIfNull(profiled);
        cancellation.ThrowIfCancellationRequested();
        LossProfileRow row = profiled.NewRow(DeviceKind.Cpu, MachineMemory.AvailableByteCount());
        row = row.Refusal is null ? profiled.Predict(row, WarmUp(profiled with { BatchSize = WarmUpRows, Width = WarmUpWidth }), LongestCall) : row;
        if (row.Refusal is not null)
        {
            return row;
        }

        using CpuDevice device = new(threads);
        SetPrecision(device, profiled);
        using LossProfileTensors tensors = new(device, profiled);
        return Measure(row, profiled, device, tensors, cancellation);
    }

    private static void SetPrecision(CpuDevice device, LossProfileCase profiled)
    {
        try
        {
            device.MatMulPrecision = profiled.MatMulPrecision;
        }
        catch (NotSupportedException e)
        {
            throw new UserErrorException($"'{profiled.Precision.ToString().ToLowerInvariant()}' cannot be had: {e.Message.TrimEnd('.')}", "choose another of --precisions", e);
        }
    }

    private LossProfileRow Measure(LossProfileRow row, LossProfileCase profiled, CpuDevice device, LossProfileTensors tensors, CancellationToken cancellation)
    {
        long before = device.AllocatedByteCount;
        using (SimilarityCrossEntropyWorkspace workspace = new(device, profiled.Options, profiled.BatchSize, profiled.BatchSize, profiled.Width))
        {
            // The first call is the one whose memory counts: nothing else has used the device's scratch yet.
            long start = Stopwatch.GetTimestamp();
            SimilarityCrossEntropy.ForwardBackward(workspace, tensors.Inputs, tensors.Outputs, tensors.Gradients);
            double first = Stopwatch.GetElapsedTime(start).TotalSeconds;
            row = row with { MemoryBytes = device.PeakByteCount - before, Arithmetic = workspace.OperationCount };
            row = Time(row, profiled, device, tensors, workspace, first, cancellation);
        }

        return Compare(row, profiled, tensors, cancellation);
    }

    // Code is compiled when it first runs; on a device of its own, for the measured one must have no scratch yet. Returns the rate of a plain product.
    private double WarmUp(LossProfileCase small)
    {
        using CpuDevice device = new(threads);
        SetPrecision(device, small);
        using LossProfileTensors tensors = new(device, small);
        using SimilarityCrossEntropyWorkspace workspace = new(device, small.Options, small.BatchSize, small.BatchSize, small.Width);
        SimilarityCrossEntropy.ForwardBackward(workspace, tensors.Inputs, tensors.Outputs, tensors.Gradients);
        SimilarityCrossEntropy.Forward(workspace, tensors.Inputs, tensors.Outputs);
        if (naive)
        {
            using NaiveContrastiveLoss loss = new(device, small.Options, small.BatchSize, small.Width, device.Workers.ThreadCount);
            loss.Run(tensors.Inputs, tensors.Gradients);
        }

        return MatMulRate.MeasureGflops(device, small.MatMulPrecision, s_burst);
    }

    private LossProfileRow Time(
        LossProfileRow row,
        LossProfileCase profiled,
        CpuDevice device,
        LossProfileTensors tensors,
        SimilarityCrossEntropyWorkspace workspace,
        double first,
        CancellationToken cancellation)
    {
        List<double> times = [];
        List<double> forwards = [];
        List<double> rates = [];
        List<double> shares = [];
        long start = Stopwatch.GetTimestamp();
        double before = MatMulRate.MeasureGflops(device, profiled.MatMulPrecision, s_burst);

        // A first call that alone takes longer than a case may is the measurement.
        if (first > duration.TotalSeconds)
        {
            double after = MatMulRate.MeasureGflops(device, profiled.MatMulPrecision, s_burst);
            Add(first, (before + after) / 2);
        }
        else
        {
            while (!cancellation.IsCancellationRequested || times.Count == 0)
            {
                long call = Stopwatch.GetTimestamp();
                SimilarityCrossEntropy.ForwardBackward(workspace, tensors.Inputs, tensors.Outputs, tensors.Gradients);
                double seconds = Stopwatch.GetElapsedTime(call).TotalSeconds;
                double after = MatMulRate.MeasureGflops(device, profiled.MatMulPrecision, s_burst);
                Add(seconds, (before + after) / 2);
                before = after;
                call = Stopwatch.GetTimestamp();
                SimilarityCrossEntropy.Forward(workspace, tensors.Inputs, tensors.Outputs);
                forwards.Add(Stopwatch.GetElapsedTime(call).TotalSeconds);
                if (times.Count == MaxCalls || (times.Count >= MinCalls && Stopwatch.GetElapsedTime(start) > duration))
                {
                    break;
                }
            }
        }

        double median = Quantile(times, 0.5);
        return row with
        {
            Calls = times.Count,
            Milliseconds = 1e3 * median,
            MillisecondsP20 = 1e3 * Quantile(times, 0.2),
            MillisecondsP80 = 1e3 * Quantile(times, 0.8),
            ForwardMilliseconds = forwards.Count == 0 ? null : 1e3 * Quantile(forwards, 0.5),
            Gflops = row.Arithmetic!.Value / median / 1e9,
            PeakGflops = Quantile(rates, 0.5),
            ShareOfPeak = Quantile(shares, 0.5),
        };

        void Add(double seconds, double rate)
        {
            times.Add(seconds);
            rates.Add(rate);
            shares.Add(row.Arithmetic!.Value / seconds / 1e9 / rate);
        }
    }

    private LossProfileRow Compare(LossProfileRow row, LossProfileCase profiled, LossProfileTensors tensors, CancellationToken cancellation)
    {
        long predicted = NaiveContrastiveLoss.PredictByteCount(profiled.Options, profiled.BatchSize, profiled.Width);
        row = row with { NaiveBytes = predicted };

        // It gets embeddings and gradients of its own, and both gradients are compared on the host.
        predicted += 2 * row.TensorBytes;
        double operations = 6.0 * profiled.BatchSize * profiled.BatchSize * profiled.Width;
        double expected = operations / _naiveRate;
        double patience = Math.Max(NaivePatience * duration.TotalSeconds, LeastNaivePatience);
        long available = MachineMemory.AvailableByteCount();
        if (!naive || predicted > available || expected > patience || cancellation.IsCancellationRequested)
        {
            return row with
            {
                NaiveRefusal = !naive ? "not asked for"
                    : predicted > available ? $"needs {MemoryText.Of(predicted)} of {MemoryText.Of(available)}"
                    : cancellation.IsCancellationRequested ? "interrupted"
                    : string.Create(CultureInfo.InvariantCulture, $"would take some {expected.ToString(expected < 10 ? "G2" : "F0", CultureInfo.InvariantCulture)} s, where {patience:G3} s are allowed"),
            };
        }

        float[] dCaptions = profiled.Variant.LocksCaptions ? [] : tensors.Gradients.DCaptions.ToArray<float>();
        float[] dImages = profiled.Variant.LocksImages ? [] : tensors.Gradients.DImages.ToArray<float>();
        using CpuDevice own = new(threads);
        SetPrecision(own, profiled);
        using LossProfileTensors copies = new(own, profiled);
        long before = own.AllocatedByteCount;
        using NaiveContrastiveLoss loss = new(own, profiled.Options, profiled.BatchSize, profiled.Width, own.Workers.ThreadCount);
        List<double> times = [];
        long start = Stopwatch.GetTimestamp();
        while (times.Count < 2 || (times.Count < MaxCalls && Stopwatch.GetElapsedTime(start) < duration))
        {
            long call = Stopwatch.GetTimestamp();
            loss.Run(copies.Inputs, copies.Gradients);
            times.Add(Stopwatch.GetElapsedTime(call).TotalSeconds);
            if (times.Count == 1)
            {
                double difference = Math.Max(
                    profiled.Variant.LocksCaptions ? 0 : Difference(dCaptions, copies.Gradients.DCaptions), profiled.Variant.LocksImages ? 0 : Difference(dImages, copies.Gradients.DImages));
                if (!(difference <= (profiled.Precision == Precision.F32 ? Float32Agreement : RoundedAgreement)))
                {
                    throw new UserErrorException(
                        string.Create(
                            CultureInfo.InvariantCulture,
                            $"the gradients of {profiled.Variant.Name} at B = {profiled.BatchSize}, E = {profiled.Width} differ by {difference:G2} of their norm from the naive loss's"),
                        "nothing was timed: report this");
                }

                row = row with { NaiveDifference = difference };
            }

            if (cancellation.IsCancellationRequested || (times.Count == 1 && times[0] > duration.TotalSeconds))
            {
                break;
            }
        }

        // The first call compiles its sweeps.
        double median = Quantile(times.Count > 1 ? times.GetRange(1, times.Count - 1) : times, 0.5);
        if (operations >= TellingOperations)
        {
            _naiveRate = operations / median;
        }

        return row with { NaiveMilliseconds = 1e3 * median, NaiveBytes = own.PeakByteCount - before };
    }

    private static double Difference(float[] expected, in Tensor actual)
    {
        ReadOnlySpan<float> values = actual.AsSpan<float>();
        double squares = 0;
        double norm = 0;
        for (int i = 0; i < expected.Length; i++)
        {
            double difference = values[i] - (double)expected[i];
            squares += difference * difference;
            norm += (double)expected[i] * expected[i];
        }

        return Math.Sqrt(squares / Math.Max(norm, double.Epsilon));
    }

    internal static double Quantile(List<double> values, double fraction)
    {
        double[] sorted = [.. values.Order()];
        return sorted[(int)Math.Min(sorted.Length - 1, fraction * sorted.Length)];
    }
}
