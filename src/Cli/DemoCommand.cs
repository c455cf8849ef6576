using System.CommandLine;
using System.Globalization;
using CrossAlign.Models;
using CrossAlign.Models.Data;
using CrossAlign.Models.Experiments;
using CrossAlign.Models.Training.Configuration;
using CrossAlign.Runtime;

namespace CrossAlign.Cli;

/// <summary><c>crossalign demo</c>: the paper's comparison in miniature, from fetching the data to the page.</summary>
internal static class DemoCommand
{
    // The quick demo has 2 minutes with training, evaluation and page.
    private const int QuickSteps = 300;

    public static Command Create()
    {
        Option<bool> quick = new("--quick") { Description = "Two set-ups, 300 steps each: a glance within 2 minutes." };
        Option<int> seeds = new("--seeds") { Description = "Train each set-up with so many seeds, for means and spreads.", DefaultValueFactory = _ => 1 };
        Option<DirectoryInfo?> output = new("--out") { Description = "Where the report and the runs go (default: report, or report-quick)." };
        Option<string?> data = new("--data") { Description = "Another data set: shapes, or a folder (default: photo-album)." };
        NumberRange.Require(seeds, n => n is >= 1 and <= 100, "--seeds takes 1 to 100");
        Command command = new("demo", "Train small towers on pictures with captions in five languages and show that the languages met.")
        {
            quick, seeds, output, data,
        };
        command.SetAction((parsed, cancellation) => Task.Run(
            () => Run(parsed, parsed.GetValue(quick), parsed.GetValue(seeds), parsed.GetValue(output)?.FullName, parsed.GetValue(data), cancellation),
            CancellationToken.None));
        return command;
    }

    private static int Run(ParseResult parsed, bool quick, int seeds, string? output, string? dataName, CancellationToken cancellation)
    {
        Terminal terminal = Terminal.Of(parsed);
        string? cache = parsed.GetValue(GlobalOptions.Cache)?.FullName;
        int threads = parsed.GetValue(GlobalOptions.Threads) ?? 0;
        long firstSeed = parsed.GetValue(GlobalOptions.Seed) ?? 1;
        string folder = Path.GetFullPath(output ?? (quick ? "report-quick" : "report"));
        using Device device = DeviceOptions.Open(parsed.GetValue(GlobalOptions.Device), threads, terminal, parsed.GetValue(GlobalOptions.Matmul));
        string[] setups = quick ? ["multilingual", "multilingual+quechua"] : [.. Setups.Names];
        string[] languages = ["en", "es", "ja", "hi", "qu"];
        List<string> notices = [];
        (CaptionedPictures data, string name) = Open(terminal, dataName, languages, cache, notices, cancellation);
        foreach (string warning in data.Warnings)
        {
            terminal.Say($"note: {warning}");
        }

        if (quick)
        {
            notices.Add(string.Create(CultureInfo.InvariantCulture, $"This is the quick demo: {QuickSteps} steps a set-up instead of {Recipes.Get("album").Steps}. The figures are far from what the full one reaches."));
        }

        EvaluationPlan wantsUdhr = new();
        ComparisonRequest request = new()
        {
            ConfigOf = (setup, seed) => ConfigOf(setup, seed, name, quick, threads),
            Setups = setups,
            Seeds = [.. Enumerable.Range(0, seeds).Select(i => firstSeed + i)],
            Data = data,
            Languages = languages,
            Udhr = quick ? null : EvalCommand.OpenUdhr(wantsUdhr, cache, terminal),
            Device = device,
            Folder = folder,
            Notices = notices,
        };
        Models.Evaluation.FigureReport report = new SetupComparison(request, c => new TrainingDisplay(terminal, $"{c.Setup} (seed {c.Seed})"), terminal.Say).Run(cancellation);
        ComparisonView.Show(terminal, report, setups, languages, folder, notices);
        return CommandLine.Success;
    }

    private static RunConfig ConfigOf(string setup, long seed, string data, bool quick, int threads)
    {
        RunConfig config = RunConfigReader.From("album", setup, data).Build() with { Seed = seed, Threads = threads };
        return quick && config.Steps > QuickSteps ? config with { Steps = QuickSteps, EvaluateEvery = 100, CheckpointEvery = 100 } : config;
    }

    private static (CaptionedPictures Data, string Name) Open(
        Terminal terminal, string? asked, string[] languages, string? cache, List<string> notices, CancellationToken cancellation)
    {
        DataSetOptions options = new() { Languages = languages };
        if (asked is not null)
        {
            return (DataSets.Open(asked, options, cache, DataCommand.Progress(terminal), cancellation), asked);
        }

        try
        {
            return (DataSets.Open(PhotoAlbum.Name, options, cache, DataCommand.Progress(terminal), cancellation), PhotoAlbum.Name);
        }
        catch (UserErrorException e)
        {
            terminal.Say($"the photo album cannot be had: {e.Message}");
            terminal.Say("going on with shapes, pictures that this program draws: it shows how everything works, not what real captions give");
            notices.Add($"The photo album could not be had ({e.What}), so the built-in shapes stand in: drawn pictures with composed captions. {char.ToUpperInvariant(e.Remedy[0])}{e.Remedy[1..]} to see real ones.");
            return (DataSets.Open(ShapesDataSet.Name, options, cache, null, cancellation), ShapesDataSet.Name);
        }
    }
}
