using System.CommandLine;
using System.Globalization;
using CrossAlign.Kernels;
using CrossAlign.Models;
using CrossAlign.Models.Data;
using CrossAlign.Models.Profiling;
using CrossAlign.Models.Training.Configuration;
using CrossAlign.Runtime;
using CrossAlign.Runtime.Cuda;
using Spectre.Console;

namespace CrossAlign.Cli;

/// <summary><c>crossalign profile</c>: what the loss costs at sizes of one's choice, and where a training step's time goes.</summary>
internal static class ProfileCommand
{
    private const int MaxSize = 1 << 24;
    private const string Processor = "cpu";

    public static Command Create()
    {
        RunConfigOptions config = new(defaultData: ShapesDataSet.Name);
        Option<string> batchSizes = new("--batch-sizes") { Description = "Captions and images of the loss, as in 1024,4096.", DefaultValueFactory = _ => "256,1024,4096" };
        Option<string> widths = new("--widths") { Description = "Widths of the embeddings, as in 256,512.", DefaultValueFactory = _ => "512" };
        Option<string?> precisions = new("--precisions") { Description = "Of the loss's products: f32, bf16 (rounded operands); on a CUDA device tf32 too. Default: that of --precision, else f32." };
        Option<string> variants = new("--variants")
        {
            Description = $"{string.Join(", ", LossProfileVariant.VariantNames)}; each with additions, as in symmetric+masked: {string.Join(", ", LossProfileVariant.AdditionNames)}.",
            DefaultValueFactory = _ => "symmetricNormalized",
        };
        Option<bool> ops = new("--ops") { Description = "Time each operation of a training step too." };
        Option<int> steps = new("--steps") { Description = "Training steps to take apart; 0 for none. --recipe, --set and so on say which training.", DefaultValueFactory = _ => 10 };
        Option<double> seconds = new("--seconds") { Description = "How long to time one size and form; at least one call.", DefaultValueFactory = _ => 2 };
        Option<double> longest = new("--longest") { Description = "Hours that one call may take; a size that would take longer, by its operations and the rate of a plain product, is left out.", DefaultValueFactory = _ => LossProfileCase.DefaultLongestCall.TotalHours };
        Option<bool> noNaive = new("--no-naive") { Description = "Leave the naive loss out." };
        Option<DirectoryInfo> output = new("--out") { Description = "Where profile.html, .json and .csv go.", DefaultValueFactory = _ => new DirectoryInfo("profile") };
        Option<bool> kernels = new("--kernels") { Description = "Instead, count what each CUDA kernel costs on the emulated device, and what follows for an A100 and an H100." };
        Option<int> tokens = new("--kernel-tokens") { Description = "Rows of activations for --kernels.", DefaultValueFactory = _ => KernelProfileCases.DefaultTokens };
        Option<string?> operations = new("--kernel-operations") { Description = "Only the kernels of these operations, as in LayerNorm,Gelu; doctor lists them. Default: all." };
        Option<FileInfo?> markdown = new("--markdown") { Description = "A document whose table of kernels --kernels replaces, as docs/kernels.md." };
        NumberRange.Require(tokens, v => v is >= 1 and <= 65_536, "--kernel-tokens takes 1 to 65536");
        NumberRange.Require(steps, v => v is >= 0 and <= 10_000, "--steps takes 0 to 10000");
        NumberRange.Require(longest, v => v is > 0 and <= 8760, "--longest takes more than 0 and at most 8760");
        NumberRange.Require(seconds, v => v is >= 0 and <= 3600, "--seconds takes 0 to 3600");
        Command command = new("profile", "Measure the loss at several sizes, and take a training step apart.")
        {
            batchSizes, widths, precisions, variants, ops, steps, seconds, longest, noNaive, output, kernels, tokens, operations, markdown,
        };
        config.AddTo(command);
        command.SetAction((parsed, cancellation) => Task.Run(
            () =>
            {
                if (parsed.GetValue(kernels))
                {
                    string[] chosen = WrongInvocationException.Guard(() => Operations(parsed.GetValue(operations), parsed.GetValue(markdown)));
                    return KernelProfileView.Run(Terminal.Of(parsed), parsed.GetValue(tokens), chosen, parsed.GetValue(markdown), cancellation);
                }

                RunConfig? run = parsed.GetValue(steps) == 0 ? null : config.Read(parsed);

                // Without a name the processor is measured, also where there is a GPU: nobody shall take one for the other.
                string device = (run?.Device ?? parsed.GetValue(GlobalOptions.Device)) is { } name && name != "auto" ? name : Processor;
                string products = WrongInvocationException.Guard(() => Precisions(parsed.GetValue(precisions), config.GivenPrecision(parsed)));
                LossProfileCase[] cases = WrongInvocationException.Guard(
                    () => Cases(parsed.GetValue(batchSizes)!, parsed.GetValue(widths)!, products, parsed.GetValue(variants)!, device));
                if (run is not null && device != Processor)
                {
                    bool isAsked = parsed.GetResult(steps) is { Implicit: false };
                    WrongInvocationException.Guard(() => isAsked ? throw StepsOfTheProcessor(device) : false);
                    Terminal.Of(parsed).Say("the training step is taken apart on the processor alone: it is left out");
                    run = null;
                }

                string folder = parsed.GetValue(output)!.FullName;
                WrongInvocationException.Guard(() => File.Exists(folder) ? throw new UserErrorException($"--out '{folder}' is a file", "give the name of a folder; it is made where there is none") : true);
                Plan plan = new(device, cases, run, parsed.GetValue(steps), parsed.GetValue(ops), TimeSpan.FromSeconds(parsed.GetValue(seconds)), TimeSpan.FromHours(parsed.GetValue(longest)), !parsed.GetValue(noNaive), folder);
                return Profile(parsed, plan, cancellation);
            },
            CancellationToken.None));
        return command;
    }

    private static int Profile(ParseResult parsed, Plan plan, CancellationToken cancellation)
    {
        Terminal terminal = Terminal.Of(parsed);
        int threads = parsed.GetValue(GlobalOptions.Threads) ?? 0;
        Device device = DeviceOptions.Open(plan.Device, threads, terminal, parsed.GetValue(GlobalOptions.Matmul));
        using CudaDevice? cuda = device as CudaDevice;
        if (cuda is null)
        {
            // Each measurement of the processor opens one of its own.
            device.Dispose();
        }

        ProfileReport report = new() { Machine = cuda is null ? ProfileMachine.Look(threads) : ProfileMachine.Look(cuda) };
        terminal.Say(cuda?.Emulation is not null
            ? "nothing is timed: how long the emulation takes says nothing of a GPU; memory and operations are those of one"
            : string.Create(
                CultureInfo.InvariantCulture, $"a plain matrix product runs at {report.Machine.PeakGflops:F0} GFLOP/s; {MemoryText.Of(report.Machine.MemoryBytes)} of memory are available"));
        bool interrupted = false;
        try
        {
            LossProfiler ofProcessor = new(threads, plan.Duration, plan.Naive) { LongestCall = plan.LongestCall };
            CudaLossProfiler? ofCuda = cuda is null ? null : new CudaLossProfiler(cuda, plan.Duration) { LongestCall = plan.LongestCall };
            for (int i = 0; i < plan.Cases.Length; i++)
            {
                LossProfileCase profiled = plan.Cases[i];
                terminal.Live($"{i + 1}/{plan.Cases.Length}: {profiled.Variant.Name}, B = {profiled.BatchSize}, E = {profiled.Width}, {profiled.Precision}");
                LossProfileRow row = ofCuda is null ? ofProcessor.Measure(profiled, cancellation) : ofCuda.Measure(profiled, cancellation);
                report = report with { Loss = [.. report.Loss, row] };

                // Written after each: whatever ends the program, what was measured stays.
                report.Write(plan.Folder);
                if (row.Refusal is not null)
                {
                    terminal.Say($"not measured: {row.Variant}, B = {row.BatchSize}, E = {row.Width}: it {row.Refusal}");
                }
            }

            if (plan.Config is { } config)
            {
                terminal.Live("the training step");
                CaptionedPictures data = DataSets.Open(
                    config.Data, DataSets.OptionsOf(config), parsed.GetValue(GlobalOptions.Cache)?.FullName, DataCommand.Progress(terminal), cancellation);
                report = report with { Step = StepProfiler.Run(config, data, plan.Steps, plan.Operations, cancellation) };
            }
        }
        catch (OperationCanceledException)
        {
            interrupted = true;
        }

        terminal.ClearLive();
        interrupted |= cancellation.IsCancellationRequested;
        report.Write(plan.Folder);
        if (terminal.IsJson)
        {
            terminal.Results.Write(report.ToJson());
        }
        else
        {
            ShowLoss(terminal, report);
            ShowStep(terminal, report);
            terminal.Say($"the same with plots: {Path.Combine(plan.Folder, "profile.html")} (and profile.json, profile.csv)");
        }

        if (interrupted)
        {
            throw new OperationCanceledException(cancellation);
        }

        return report.Loss.Count > 0 && report.Loss.All(r => r.Refusal is not null)
            ? throw new UserErrorException("none of the sizes could be measured", "choose smaller --batch-sizes")
            : CommandLine.Success;
    }

    private static void ShowLoss(Terminal terminal, ProfileReport report)
    {
        if (report.Loss.Count == 0)
        {
            return;
        }

        terminal.Say("the loss, forward and backward, and the rate of a plain product measured in turns with it:");
        Table table = new Table().Border(TableBorder.Simple)
            .AddColumns("variant", "precision", "B", "E", "ms", "forward ms", "GFLOP/s", "product's", "share", "memory", "allowed", "naive ms", "naive memory");
        foreach (LossProfileRow r in report.Loss.Where(r => r.Refusal is null))
        {
            table.AddRow(
                r.Variant,
                r.Precision,
                Number(r.BatchSize, "0"),
                Number(r.Width, "0"),
                r.Milliseconds is null ? string.Empty : $"{Number(r.Milliseconds, "F1")} ({Number(r.MillisecondsP20, "F1")}-{Number(r.MillisecondsP80, "F1")})",
                Number(r.ForwardMilliseconds, "F1"),
                Number(r.Gflops, "F0"),
                Number(r.PeakGflops, "F0"),
                r.ShareOfPeak is null ? string.Empty : $"{Number(100 * r.ShareOfPeak, "F0")} %",
                MemoryText.Of(r.MemoryBytes!.Value),
                MemoryText.Of(r.BoundBytes),
                r.NaiveMilliseconds is null ? r.NaiveRefusal ?? string.Empty : Number(r.NaiveMilliseconds, "F1"),
                r.NaiveBytes is long naive ? $"{MemoryText.Of(naive)}{(r.NaiveMilliseconds is null ? " predicted" : string.Empty)}" : string.Empty);
        }

        terminal.Write(table);
    }

    private static void ShowStep(Terminal terminal, ProfileReport report)
    {
        if (report.Step is not { } step)
        {
            return;
        }

        terminal.Say($"a training step ({step.Configuration}, {step.BatchSize} pictures x {step.CaptionsPerPicture} captions): {Number(step.Milliseconds, "F1")} ms, {Number(step.CaptionsPerSecond, "F0")} captions/s");
        Table table = new Table().Border(TableBorder.Simple).AddColumns("part", "ms", "share");
        foreach (PartTime part in step.Parts)
        {
            table.AddRow(part.Part, Number(part.Milliseconds, "F2"), $"{Number(100 * part.Share, "F1")} %");
        }

        terminal.Write(table);
        terminal.Say($"batches are prepared beside it in {Number(step.PreparationMilliseconds, "F1")} ms; tensors hold {MemoryText.Of(step.MemoryBytes)}, {MemoryText.Of(step.PredictedBytes)} were predicted");
        if (step.Operations.Count == 0)
        {
            return;
        }

        Table operations = new Table().Border(TableBorder.Simple).AddColumns("operation", "calls", "ms", "share", "GFLOP/s");
        foreach (OperationTime o in step.Operations)
        {
            operations.AddRow(o.Operation, Number(o.Calls, "0.#"), Number(o.Milliseconds, "F2"), $"{Number(100 * o.Share, "F1")} %", Number(o.Gflops, "F0"));
        }

        terminal.Write(operations);
    }

    private static LossProfileCase[] Cases(string batchSizes, string widths, string precisions, string variants, string device)
    {
        int[] rows = [.. Split(batchSizes, "--batch-sizes").Select(t => Size(t, "--batch-sizes"))];
        int[] columns = [.. Split(widths, "--widths").Select(t => Size(t, "--widths"))];
        Precision[] products = [.. Split(precisions, "--precisions").Select(p => ParsePrecision(p, device))];
        LossProfileVariant[] forms = [.. Split(variants, "--variants").Select(LossProfileVariant.Parse)];
        return [.. from form in forms from precision in products from width in columns from batch in rows select new LossProfileCase(batch, width, precision, form)];
    }

    private static UserErrorException StepsOfTheProcessor(string device) =>
        new($"a training step is taken apart on the processor, not on '{device}'", "give --steps 0; train --profile-ops times a step's operations there");

    private static int Size(string text, string option) =>
        int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int size) && size is >= 1 and <= MaxSize
            ? size
            : throw new UserErrorException($"{option}: '{text}' is no size", $"give whole numbers from 1 to {MaxSize}");

    private static Precision ParsePrecision(string name, string device) => name switch
    {
        "f32" => Precision.F32,
        "bf16" => Precision.BF16,
        "tf32" when device != Processor => Precision.TF32,
        "tf32" => throw new UserErrorException("--precisions: tf32 is arithmetic of CUDA devices, and the loss runs on the processor", "give f32 or bf16, or a CUDA --device"),
        _ => throw new UserErrorException(
            $"--precisions: there is no precision '{name}'", $"the nearest is '{NearestName.Find(name, device == Processor ? ["f32", "bf16"] : ["f32", "bf16", "tf32"])}'"),
    };

    private static string[] Operations(string? list, FileInfo? markdown)
    {
        string[] all = [.. KernelCatalog.Operations.Where(o => o.HasCuda).Select(o => o.Operation)];
        return list is null ? all
            : markdown is not null ? throw new UserErrorException("--markdown takes the table of all operations", "leave --kernel-operations out")
            : [.. Split(list, "--kernel-operations").Select(name => all.FirstOrDefault(o => o.Equals(name, StringComparison.OrdinalIgnoreCase))
                ?? throw new UserErrorException($"--kernel-operations: there is no operation '{name}' with CUDA kernels", $"the nearest is '{NearestName.Find(name, all)}'"))];
    }

    private static string[] Split(string list, string option)
    {
        string[] items = list.Split(',', StringSplitOptions.TrimEntries);
        return items.All(i => i.Length == 0) ? throw new UserErrorException($"{option}: '{list}' names nothing to measure", "give at least one, or leave the option out")
            : items.Contains(string.Empty) ? throw new UserErrorException($"{option}: '{list}' has an empty item", "leave out a comma")
            : items;
    }

    // --precision belongs to the training step; where it stands alone it is meant for both.
    private static string Precisions(string? ofLoss, string? ofStep) =>
        ofLoss is null ? ofStep ?? "f32"
        : ofStep is null || Split(ofLoss, "--precisions").Contains(ofStep, StringComparer.Ordinal) ? ofLoss
        : throw new UserErrorException($"--precision {ofStep} is none of --precisions {ofLoss}", "leave one of them out, or name it in both");

    private static string Number(double? value, string format) => value?.ToString(format, CultureInfo.InvariantCulture) ?? string.Empty;

    private sealed record Plan(string Device, LossProfileCase[] Cases, RunConfig? Config, int Steps, bool Operations, TimeSpan Duration, TimeSpan LongestCall, bool Naive, string Folder);
}
