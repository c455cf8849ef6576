using System.CommandLine;
using System.Globalization;
using CrossAlign.Models;
using CrossAlign.Models.Data;
using CrossAlign.Models.Training;
using CrossAlign.Models.Training.Configuration;
using CrossAlign.Runtime;
using CrossAlign.Runtime.Cuda;

namespace CrossAlign.Cli;

/// <summary><c>crossalign train</c>: one run.</summary>
internal static class TrainCommand
{
    public static Command Create()
    {
        RunConfigOptions config = new();
        Option<DirectoryInfo?> output = new("--out") { Description = "The run's folder (default: runs/SETUP-seed-SEED, or runs/LANGUAGES-seed-SEED)." };
        Option<DirectoryInfo?> resume = new("--resume") { Description = "Go on with the run in this folder, with the configuration it was started with; --threads and --device may be others." };
        Option<int?> stopAfter = new("--stop-after") { Description = "Stop after this step with a checkpoint." };
        Option<bool> printConfig = new("--print-config") { Description = "Print the complete configuration and stop." };
        Option<bool> schema = new("--schema") { Description = "Print the JSON Schema of configuration files and stop." };
        Option<bool> profileOps = new("--profile-ops") { Description = "Time each operation, on a GPU by events, and show where the time went at the end." };
        Command command = new("train", "Train two towers and write a run folder.") { output, resume, stopAfter, printConfig, schema, profileOps };
        config.AddTo(command);
        command.SetAction((parsed, cancellation) => Task.Run(
            () =>
            {
                if (parsed.GetValue(schema))
                {
                    parsed.InvocationConfiguration.Output.Write(RunConfigJson.WriteSchema());
                    return CommandLine.Success;
                }

                DirectoryInfo? resumed = parsed.GetValue(resume);
                RunConfig run = resumed is null
                    ? config.Read(parsed)
                    : config.ReadResumed(parsed, FolderOf(resumed, parsed.GetValue(output)));
                if (parsed.GetValue(printConfig))
                {
                    parsed.InvocationConfiguration.Output.Write(RunConfigJson.Write(run));
                    return CommandLine.Success;
                }

                string folder = resumed?.FullName ?? parsed.GetValue(output)?.FullName ?? Path.GetFullPath(DefaultFolder(run));
                OperationLog? operations = parsed.GetValue(profileOps) ? new OperationLog() : null;
                return Train(Terminal.Of(parsed), run, folder, resumed is not null, parsed.GetValue(stopAfter), operations, parsed.GetValue(GlobalOptions.Cache)?.FullName, cancellation);
            },
            CancellationToken.None));
        return command;
    }

    private static string DefaultFolder(RunConfig run) =>
        Path.Combine("runs", string.Create(CultureInfo.InvariantCulture, $"{NameOf(run)}-seed-{run.Seed}"));

    // A set-up's name says its languages; with others the languages themselves are the better name.
    private static string NameOf(RunConfig run)
    {
        RunConfig named = RunConfigReader.From(run.Recipe, run.Setup, run.Data).Build();
        return named.Languages.SequenceEqual(run.Languages) ? run.Setup : string.Join('-', run.Languages);
    }

    private static RunFolder FolderOf(DirectoryInfo resumed, DirectoryInfo? output) =>
        output is null || Path.TrimEndingDirectorySeparator(output.FullName) == Path.TrimEndingDirectorySeparator(resumed.FullName)
            ? new RunFolder(resumed.FullName)
            : throw new WrongInvocationException(new UserErrorException(
                $"--out {output} is not the folder of --resume: a run goes on where it is", "leave --out out; to keep the run as it is, resume a copy of its folder"));

    private static int Train(
        Terminal terminal, RunConfig run, string folder, bool resume, int? stopAfter, OperationLog? operations, string? cache, CancellationToken cancellation)
    {
        using Device device = DeviceOptions.Open(run.Device, run.Threads, terminal);
        CaptionedPictures data = DataSets.Open(run.Data, DataSets.OptionsOf(run, checkpoint: resume ? new RunFolder(folder).LatestCheckpoint() : null), cache, DataCommand.Progress(terminal), cancellation);
        foreach (string warning in data.Warnings)
        {
            terminal.Say($"note: {warning}");
        }

        device.Operations = operations;
        TrainingRequest request = new(run, data, device, folder) { Resume = resume, StopAfter = stopAfter };
        TrainingResult result;
        try
        {
            result = TrainingRun.Start(request, new TrainingDisplay(terminal, NameOf(run)), cancellation);
        }
        catch (OperationCanceledException) when (new RunFolder(folder).CheckpointSteps() is [.., int saved])
        {
            terminal.ClearLive();
            terminal.Say(string.Create(CultureInfo.InvariantCulture, $"saved at step {saved}; go on with: crossalign train --resume {folder}"));
            throw;
        }

        if (operations is not null)
        {
            ShowOperations(terminal, operations.Totals(), device is CudaDevice { Emulation: not null });
        }

        if (terminal.IsJson)
        {
            terminal.Results.WriteLine(System.Text.Json.JsonSerializer.Serialize(result, CliJson.Default.TrainingResult));
        }
        else
        {
            terminal.Say(string.Create(
                CultureInfo.InvariantCulture,
                $"{(result.Completed ? "completed" : "stopped")} at step {result.Step}; {result.Captions / Math.Max(result.Seconds, 1e-9):F0} captions/s; the run is in {result.Folder}"));
        }

        return CommandLine.Success;
    }

    private static void ShowOperations(Terminal terminal, IReadOnlyList<OperationTotal> totals, bool isEmulated)
    {
        double all = Math.Max(totals.Sum(t => t.Time.TotalMilliseconds), 1e-9);
        if (isEmulated)
        {
            terminal.Say("operations by the work that the emulated device counted, which is no time:");
        }

        foreach (OperationTotal t in totals)
        {
            double ms = t.Time.TotalMilliseconds;
            if (isEmulated)
            {
                terminal.Say(string.Create(CultureInfo.InvariantCulture, $"  {t.Name}: {100 * ms / all:F1} % in {t.Calls} calls"));
                continue;
            }

            string rate = t.Arithmetic == 0 ? string.Empty : string.Create(CultureInfo.InvariantCulture, $", {t.Arithmetic / Math.Max(ms, 1e-9) / 1e6:F1} GFLOP/s");
            terminal.Say(string.Create(CultureInfo.InvariantCulture, $"  {t.Name}: {100 * ms / all:F1} %, {ms:F1} ms in {t.Calls} calls{rate}"));
        }
    }
}
