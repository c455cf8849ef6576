using System.CommandLine;
using CrossAlign.Models;
using CrossAlign.Models.Data;
using CrossAlign.Models.Evaluation;
using CrossAlign.Models.Experiments;
using CrossAlign.Runtime;

namespace CrossAlign.Cli;

/// <summary><c>crossalign report</c>: finished runs side by side, on the demo's page.</summary>
internal static class ReportCommand
{
    public static Command Create()
    {
        Argument<string[]> runs = new("RUN")
        {
            Description = "The folder of a finished run, or NAME=FOLDER for a row called NAME. Runs that differ in their seed alone share a row.",
            Arity = ArgumentArity.OneOrMore,
        };
        Option<DirectoryInfo> output = new("--out") { Description = "Where report.html and report.json go.", Required = true };
        Option<string?> languages = new("--languages") { Description = "Languages to measure (default: all that any of the runs was trained on)." };
        Command command = new("report", "Set finished runs side by side: from scratch, tuned, other languages or sizes.") { runs, output, languages };
        command.SetAction((parsed, cancellation) => Task.Run(
            () => Report(Terminal.Of(parsed), parsed, parsed.GetValue(runs)!, parsed.GetValue(output)!.FullName, parsed.GetValue(languages), cancellation),
            CancellationToken.None));
        return command;
    }

    private static int Report(Terminal terminal, ParseResult parsed, string[] runs, string folder, string? languages, CancellationToken cancellation)
    {
        string? cache = parsed.GetValue(GlobalOptions.Cache)?.FullName;
        using Device device = DeviceOptions.Open(parsed, terminal);
        (string Folder, string? Name)[] named = WrongInvocationException.Guard(() => Array.ConvertAll(runs, Split));
        ReportRequest request = new()
        {
            Runs = named,
            OpenData = (config, options) => DataSets.Open(config.Data, options, cache, DataCommand.Progress(terminal), cancellation),
            Languages = languages?.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries) ?? [],
            Udhr = EvalCommand.OpenUdhr(new EvaluationPlan(), cache, terminal),
            Device = device,
            Folder = folder,
        };
        RunComparison comparison = new(request, terminal.Say);
        FigureReport report = comparison.Run(cancellation);
        ComparisonView.Show(terminal, report, comparison.Names, comparison.Languages, folder, []);
        return CommandLine.Success;
    }

    // A folder whose own name has an equals sign is a folder.
    private static (string Folder, string? Name) Split(string run)
    {
        int equals = run.IndexOf('=', StringComparison.Ordinal);
        string name = equals < 0 || Directory.Exists(run) ? string.Empty : run[..equals].Trim();
        string folder = name.Length == 0 ? run : run[(equals + 1)..];
        return Directory.Exists(folder)
            ? (folder, name.Length == 0 ? null : name)
            : throw new UserErrorException($"there is no run '{folder}'", "give the folder that train or demo wrote, or NAME=FOLDER");
    }
}
