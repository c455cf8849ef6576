using System.CommandLine;
using System.Globalization;
using CrossAlign.Models;
using CrossAlign.Models.Data;
using CrossAlign.Models.Evaluation;
using CrossAlign.Models.Experiments;
using CrossAlign.Models.Training.Configuration;
using CrossAlign.Runtime;
using Spectre.Console;

namespace CrossAlign.Cli;

/// <summary><c>crossalign eval</c>: what a run has learned.</summary>
internal static class EvalCommand
{
    public static Command Create()
    {
        Argument<DirectoryInfo> run = new("RUN") { Description = "The run's folder." };
        Option<string> tasks = new("--tasks") { Description = "bitext, retrieval.", DefaultValueFactory = _ => "bitext,retrieval" };
        Option<string> sets = new("--sets")
        {
            Description = "seen, held-out-captions, unseen, validation, udhr.",
            DefaultValueFactory = _ => "seen,held-out-captions,unseen,udhr",
        };
        Option<string?> languages = new("--languages") { Description = "Languages to measure (default: those of the run)." };
        Option<string?> styles = new("--styles") { Description = "Drawing styles of picture retrieval (default: all)." };
        Option<string> scores = new("--scores") { Description = "cosine, centred, csls, margin.", DefaultValueFactory = _ => "cosine,centred,csls,margin" };
        Option<string?> data = new("--data") { Description = "Another data set than the run's: photo-album, shapes or a folder." };
        Command command = new("eval", "Measure a run: retrieval between languages and between captions and pictures.")
        {
            run, tasks, sets, languages, styles, scores, data,
        };
        command.SetAction((parsed, cancellation) => Task.Run(
            () =>
            {
                EvaluationPlan plan = WrongInvocationException.Guard(() => Plan(
                    Names(parsed.GetValue(tasks)!),
                    Names(parsed.GetValue(sets)!),
                    Names(parsed.GetValue(languages)),
                    Names(parsed.GetValue(styles)),
                    Names(parsed.GetValue(scores)!)));
                return Evaluate(Terminal.Of(parsed), parsed, parsed.GetValue(run)!.FullName, parsed.GetValue(data), plan, cancellation);
            },
            CancellationToken.None));
        return command;
    }

    /// <summary>Opens the declarations of the album's cache where a plan asks for them and they are there.</summary>
    public static UdhrCorpus? OpenUdhr(EvaluationPlan plan, string? cache, Terminal terminal)
    {
        if (!plan.Udhr || !plan.Bitext)
        {
            return null;
        }

        if (PhotoAlbum.IsPrepared(cache))
        {
            return UdhrCorpus.Load(cache);
        }

        terminal.Say("note: the declarations of human rights come with the photo album, which is not prepared: that set is left out (crossalign data photo-album)");
        return null;
    }

    private static int Evaluate(
        Terminal terminal, ParseResult parsed, string folder, string? dataName, EvaluationPlan plan, CancellationToken cancellation)
    {
        DateTimeOffset started = DateTimeOffset.UtcNow;
        using Device device = DeviceOptions.Open(parsed, terminal);
        using RunEvaluation run = RunEvaluation.Open(folder, device);
        string? cache = parsed.GetValue(GlobalOptions.Cache)?.FullName;
        IReadOnlyList<string> languages = run.LanguagesOf(plan);
        CaptionedPictures data = DataSets.Open(
            dataName ?? run.Config.Data, DataSets.OptionsOf(run.Config, languages, run.Checkpoint), cache, DataCommand.Progress(terminal), cancellation);
        IReadOnlyList<string> styles = plan.Retrieval ? RunEvaluation.StylesOf(plan, data) : [];
        ConceptEmbeddings embeddings = run.Embed(data, languages.Append("en").Distinct(), styles);
        cancellation.ThrowIfCancellationRequested();
        IReadOnlyList<Figure> figures = run.Measure(plan, embeddings, OpenUdhr(plan, cache, terminal));
        FigureReport report = new()
        {
            Figures = figures,
            Throughput = [],
            Run = new FigureRun(
                ProgramVersion.Number,
                ProgramVersion.Commit,
                device.Name,
                (device as CpuDevice)?.Workers.ThreadCount ?? 0,
                [run.Config.Seed],
                data.Name,
                started,
                (DateTimeOffset.UtcNow - started).TotalSeconds),
        };
        if (!figures.Any(f => f.Count > 0))
        {
            throw new UserErrorException(
                "there is nothing to measure: no language, picture or text of what was asked for is there", "widen --tasks, --sets, --languages or --styles");
        }

        if (terminal.IsJson)
        {
            using MemoryStream stream = new();
            report.Write(stream);
            terminal.Results.WriteLine(System.Text.Encoding.UTF8.GetString(stream.GetBuffer(), 0, (int)stream.Length).TrimEnd());
        }
        else
        {
            Show(terminal, report, all: parsed.GetValue(GlobalOptions.Verbose) || parsed.GetResult("--scores") is System.CommandLine.Parsing.OptionResult { Implicit: false });
        }

        return CommandLine.Success;
    }

    // A person reads some dozens of rows: the plainest score, and the queries that letters alone do not solve. Programs read --json.
    private static void Show(Terminal terminal, FigureReport report, bool all)
    {
        Figure[] measured = [.. report.Figures.Where(f => f.Count > 0)];
        Figure[] shown = all ? measured : [.. measured.Where(f => f.Score == "cosine" && (f.Task != FigureTasks.Bitext || f.Queries == "strict" || f.Set == ConceptSetNames.Udhr))];
        Table table = new Table().Border(TableBorder.Simple)
            .AddColumns("task", "from", "to", "set", "style", "queries", "score", "n / pool", "R@1 % (95 %)", "R@10 %", "MRR", "letters alone %");
        foreach (Figure figure in shown)
        {
            table.AddRow(
                figure.Task,
                figure.From,
                figure.To,
                figure.Set,
                figure.Style ?? string.Empty,
                figure.Queries,
                figure.Score,
                string.Create(CultureInfo.InvariantCulture, $"{figure.Count} / {figure.Pool}"),
                string.Create(CultureInfo.InvariantCulture, $"{100 * figure.R1:F1} ({100 * figure.Wilson95[0]:F1}-{100 * figure.Wilson95[1]:F1})"),
                string.Create(CultureInfo.InvariantCulture, $"{100 * figure.R10:F1}"),
                string.Create(CultureInfo.InvariantCulture, $"{figure.Mrr:F3}"),
                figure.Baseline is { } baseline ? string.Create(CultureInfo.InvariantCulture, $"{100 * baseline.R1:F1}") : string.Empty);
        }

        terminal.Write(table);
        if (shown.Length < measured.Length)
        {
            terminal.Say(string.Create(
                CultureInfo.InvariantCulture,
                $"{shown.Length:N0} of {measured.Length:N0} figures: cosine, strict queries (names that share no word with the English or Spanish one). --verbose or --scores shows all, --json gives them to programs"));
        }
    }

    private static string[] Names(string? list) => list?.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries) ?? [];

    private static EvaluationPlan Plan(string[] tasks, string[] sets, string[] languages, string[] styles, string[] scores) => new()
    {
        Bitext = Has(tasks, "bitext", ["bitext", "retrieval"], "--tasks"),
        Retrieval = Has(tasks, "retrieval", ["bitext", "retrieval"], "--tasks"),
        Udhr = sets.Contains(ConceptSetNames.Udhr),
        Sets = [.. sets.Where(s => s != ConceptSetNames.Udhr).Select(s => ConceptSetNames.Parse(s)!.Value)],
        Languages = languages,
        Styles = styles,
        Scores = [.. scores.Select(FigureNames.ParseScore)],
    };

    private static bool Has(string[] given, string name, string[] known, string option)
    {
        foreach (string word in given)
        {
            if (!known.Contains(word))
            {
                throw new UserErrorException($"'{word}' is nothing that {option} knows", $"the nearest is '{NearestName.Find(word, known)}'");
            }
        }

        return given.Contains(name);
    }
}
