using System.Globalization;
using System.Text;

namespace CrossAlign.Models.Profiling;

/// <summary>Writes a profile as comma-separated values, a line a measurement; what was not measured is empty.</summary>
internal static class ProfileCsv
{
    private const string Header =
        "op,mode,variant,precision,batch_size,width,calls,ms_p50,ms_p20,ms_p80,forward_ms_p50,arithmetic,gflops,peak_gflops,share_of_peak,tensor_bytes,memory_bytes,predicted_bytes,bound_bytes,"
        + "naive_ms_p50,naive_bytes,naive_difference,refusal,device,simd,threads,version,commit,started";

    /// <summary>The whole file.</summary>
    public static string Write(ProfileReport report)
    {
        StringBuilder csv = new(Header);
        csv.Append('\n');
        ProfileMachine machine = report.Machine;
        object?[] run = [machine.Device, machine.SimdTier, machine.Threads, machine.Version, machine.Commit, machine.Started.ToString("O", CultureInfo.InvariantCulture)];
        foreach (LossProfileRow r in report.Loss)
        {
            Append(csv, [
                "loss", "forward+backward", r.Variant, r.Precision, r.BatchSize, r.Width, r.Calls, r.Milliseconds, r.MillisecondsP20, r.MillisecondsP80, r.ForwardMilliseconds,
                r.Arithmetic, r.Gflops, r.PeakGflops, r.ShareOfPeak, r.TensorBytes, r.MemoryBytes, r.PredictedBytes, r.BoundBytes, r.NaiveMilliseconds, r.NaiveBytes, r.NaiveDifference,
                r.Refusal, .. run,
            ]);
        }

        if (report.Step is { } step)
        {
            foreach (PartTime part in step.Parts)
            {
                AppendStep(csv, step, part.Part, "training step", null, part.Milliseconds, null, run);
            }

            foreach (OperationTime operation in step.Operations)
            {
                AppendStep(csv, step, operation.Operation, "within a training step", operation.Calls, operation.Milliseconds, operation.Gflops, run);
            }
        }

        return csv.ToString();
    }

    // Of a step: no variant, no precision, no width; means in place of medians.
    private static void AppendStep(StringBuilder csv, StepProfile step, string op, string mode, double? calls, double milliseconds, double? gflops, object?[] run) =>
        Append(csv, [
            op, mode, null, null, step.BatchSize, null, calls, milliseconds, null, null, null, null, gflops, null, null, null, null, null, null, null, null, null, null, .. run,
        ]);

    private static void Append(StringBuilder csv, object?[] fields)
    {
        for (int i = 0; i < fields.Length; i++)
        {
            csv.Append(i == 0 ? string.Empty : ",");
            string text = fields[i] switch
            {
                double number => number.ToString("G6", CultureInfo.InvariantCulture),
                null => string.Empty,
                object other => Convert.ToString(other, CultureInfo.InvariantCulture)!,
            };
            csv.Append(text.AsSpan().IndexOfAny(",\"\n") < 0 ? text : $"\"{text.Replace("\"", "\"\"", StringComparison.Ordinal)}\"");
        }

        csv.Append('\n');
    }
}
