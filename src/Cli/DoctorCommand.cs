using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using CrossAlign.Models;
using CrossAlign.Models.Diagnostics;
using CrossAlign.Runtime.Cuda;
using Spectre.Console;

namespace CrossAlign.Cli;

/// <summary><c>crossalign doctor</c>: what this machine has, what is missing, and the line that installs it.</summary>
internal static class DoctorCommand
{
    public static Command Create()
    {
        Option<bool> noMeasurements = new("--no-measurements") { Description = "Look, but measure no rates." };
        Option<double> seconds = new("--measure-seconds") { Description = "How long each rate is measured.", DefaultValueFactory = _ => 0.5 };
        NumberRange.Require(seconds, n => n is >= 0 and <= 60, "--measure-seconds takes a number from 0 to 60");
        Command command = new("doctor", "Say what this machine has, what is missing, and the line that installs it.") { noMeasurements, seconds };
        command.SetAction((parsed, cancellation) => Task.Run(
            () =>
            {
                Terminal terminal = Terminal.Of(parsed);
                MachineExaminationOptions options = new()
                {
                    Measures = parsed.GetValue(noMeasurements) ? null : TimeSpan.FromSeconds(parsed.GetValue(seconds)),
                    Threads = parsed.GetValue(GlobalOptions.Threads) ?? 0,
                    Cache = parsed.GetValue(GlobalOptions.Cache)?.FullName,
                    EmulatedDevice = EmulatedDevice(parsed.GetValue(GlobalOptions.Device)),
                };
                MachineReport report = MachineExamination.Examine(options, new Lines(terminal), cancellation);
                terminal.ClearLive();
                if (terminal.IsJson)
                {
                    using JsonLine line = new();
                    terminal.Results.WriteLine(line.Text(json => JsonSerializer.Serialize(json, report, CliJson.Default.MachineReport)));
                }
                else
                {
                    Write(terminal, report);
                }

                return CommandLine.Success;
            },
            CancellationToken.None));
        return command;
    }

    // All real devices are shown without being asked for; the emulated one only where it is.
    private static string? EmulatedDevice(string? name) => name switch
    {
        null or "auto" or "cpu" or "cuda" => null,
        "cuda-emulated" or "cuda-emulated:sm_80" or "cuda-emulated:sm_86" or "cuda-emulated:sm_90" => name,
        _ => throw new WrongInvocationException(new UserErrorException(
            $"there is no device '{name}'", "doctor shows all real devices without --device, and with --device cuda-emulated[:sm_80|:sm_86|:sm_90] the emulated one too")),
    };

    private static void Write(Terminal terminal, MachineReport report)
    {
        TextWriter results = terminal.Results;
        results.WriteLine($"crossalign {report.Version}{(report.Commit is null ? string.Empty : $" ({report.Commit})")}, {report.Framework}, {report.OperatingSystem}");
        results.WriteLine();
        ProcessorReport cpu = report.Processor;
        results.WriteLine($"processor  {cpu.Model}, {cpu.Architecture}, {Number(cpu.Cores)} cores");
        results.WriteLine($"  vectors  {string.Join(", ", cpu.Tiers.Select(t => $"{t.Tier} {(t.Used ? "used" : t.Supported ? "there" : "not there")}"))}");
        results.WriteLine($"  memory   {Gigabytes(cpu.MemoryByteCount)}, {Gigabytes(cpu.AvailableByteCount)} free");
        WriteRates(results, cpu.Rates, "1024 x 512 x 1024", emulated: false);
        results.WriteLine($"cache      {report.CacheFolder}{(report.CacheFreeByteCount is { } free ? $", {Gigabytes(free)} free" : string.Empty)}");
        results.WriteLine();
        results.WriteLine($"driver     {(report.CudaDriver.Found ? $"{report.CudaDriver.Source}{(report.CudaDriver.Version is { } v ? $", CUDA {v}" : string.Empty)}" : "none")}");
        results.WriteLine($"cuBLAS     {(report.Cublas.Found ? $"{report.Cublas.Source}{(report.Cublas.Version is { } c ? $", {c}" : string.Empty)}" : "none: on CUDA the matrix product of our own runs")}");
        if (!CudaBinding.Current.IsOwn)
        {
            results.WriteLine($"binding    {report.CudaBinding}");
        }

        foreach (CudaDeviceReport device in report.CudaDevices)
        {
            results.WriteLine($"{device.Name}  {device.Model}, compute capability {device.ComputeCapability}, {Number(device.Multiprocessors)} multiprocessors");
            results.WriteLine($"  memory   {Gigabytes(device.MemoryByteCount)}; {Number(device.SharedByteCount / 1024)} KiB shared memory a block at most");
            WriteRates(results, device.Rates, "4096 x 4096 x 4096", device.Emulated);
        }

        results.WriteLine();
        Table operations = new Table().Border(TableBorder.Simple).AddColumns("operation", "cpu", "cuda", "kernels of its own");
        foreach (OperationReport operation in report.Operations)
        {
            operations.AddRow(operation.Name, operation.Cpu ? "yes" : "no", operation.Cuda ? "yes" : "no", Number(operation.CudaKernels.Count));
        }

        terminal.Write(operations);
        foreach (ToolReport tool in report.Tools)
        {
            results.WriteLine($"{tool.Name}: {(tool.Path is null ? "none" : $"{tool.Path}{(tool.Version is null ? string.Empty : $", {tool.Version}")}")} ({tool.Purpose})");
        }

        results.WriteLine();
        results.WriteLine(report.Absences.Count == 0 ? "nothing is missing" : "not there:");
        foreach (Absence absence in report.Absences)
        {
            results.WriteLine($"- {absence.What}");
            results.WriteLine($"    reason: {absence.Reason}");
            results.WriteLine($"    remedy: {absence.Remedy}");
        }

        results.Flush();
    }

    private static void WriteRates(TextWriter results, RateReport rates, string extents, bool emulated)
    {
        List<string> parts = [];
        if (rates.CopyGBps is { } copy)
        {
            parts.Add(string.Create(CultureInfo.InvariantCulture, $"copies {copy:F1} GB/s (read + written)"));
        }

        if (rates.ToDeviceGBps is { } toDevice)
        {
            parts.Add(string.Create(CultureInfo.InvariantCulture, $"from the host {toDevice:F1} GB/s"));
        }

        if (rates.MatMulGflops is { } product)
        {
            parts.Add(string.Create(CultureInfo.InvariantCulture, $"matrix products {product:F0} GFLOP/s (float32, {extents})"));
        }

        if (rates.MatMulTf32Gflops is { } tf32)
        {
            parts.Add(string.Create(CultureInfo.InvariantCulture, $"{tf32:F0} in TF32"));
        }

        if (rates.MatMulBFloat16Gflops is { } bf16)
        {
            parts.Add(string.Create(CultureInfo.InvariantCulture, $"{bf16:F0} in bfloat16"));
        }

        results.WriteLine($"  rates    {(parts.Count > 0 ? $"{string.Join(", ", parts)}; measured now" : emulated ? "none: an emulated device has no speed" : "not measured")}");
    }

    private static string Gigabytes(long bytes) => string.Create(CultureInfo.InvariantCulture, $"{bytes / (double)(1L << 30):F1} GiB");

    private static string Number(long value) => value.ToString(CultureInfo.InvariantCulture);

    private sealed class Lines(Terminal terminal) : IProgress<string>
    {
        public void Report(string value) => terminal.Live(value);
    }
}
