using System.Globalization;
using CrossAlign.Models.Evaluation;
using Spectre.Console;

namespace CrossAlign.Cli;

/// <summary>What <c>demo</c> and <c>report</c> print of a comparison: its tables, or the whole document as JSON.</summary>
internal static class ComparisonView
{
    /// <summary>Prints it.</summary>
    /// <param name="terminal">Where to.</param>
    /// <param name="report">The figures.</param>
    /// <param name="setups">The rows.</param>
    /// <param name="languages">The languages, English among them or not.</param>
    /// <param name="folder">Where the page is.</param>
    /// <param name="notices">What a reader must know before the figures.</param>
    public static void Show(
        Terminal terminal, FigureReport report, IReadOnlyList<string> setups, IReadOnlyList<string> languages, string folder, IReadOnlyList<string> notices)
    {
        if (terminal.IsJson)
        {
            using MemoryStream stream = new();
            report.Write(stream);
            terminal.Results.WriteLine(System.Text.Encoding.UTF8.GetString(stream.GetBuffer(), 0, (int)stream.Length).TrimEnd());
            return;
        }

        foreach (string notice in notices)
        {
            terminal.Say(notice);
        }

        ShowTables(terminal, report, setups, languages);
        terminal.Say($"the page with plots, maps and pictures: {Path.Combine(folder, "report.html")}");
    }

    private static void ShowTables(Terminal terminal, FigureReport report, IReadOnlyList<string> setups, IReadOnlyList<string> languages)
    {
        foreach (string set in (string[])["seen", "held-out-captions", "unseen"])
        {
            string[] others = [.. languages.Where(l => l != "en")];
            Figure[] figures =
            [
                .. report.Figures.Where(f => f.Task == FigureTasks.Bitext && f.To == "en" && f.Set == set && f.Score == "cosine" && f.Queries == "strict" && f.Count > 0),
            ];
            if (figures.Length == 0)
            {
                continue;
            }

            Table table = new Table().Border(TableBorder.Simple).Title($"{set}: language to English, R@1 in % (strict queries; 95 % interval)").AddColumn("set-up");
            foreach (string language in others)
            {
                table.AddColumn(language);
            }

            foreach (string setup in setups)
            {
                table.AddRow([setup, .. others.Select(l => Cell(figures.Where(f => f.Setup == setup && f.From == l)))]);
            }

            table.AddRow(["letters alone", .. others.Select(l => figures.FirstOrDefault(f => f.From == l)?.Baseline is { } b ? Percent(b.R1) : string.Empty)]);
            terminal.Write(table);
        }
    }

    private static string Cell(IEnumerable<Figure> seeds)
    {
        Figure[] all = [.. seeds];
        if (all.Length == 0)
        {
            return string.Empty;
        }

        double mean = all.Average(f => f.R1!.Value);
        return all.Length == 1
            ? $"{Percent(mean)} ({Percent(all[0].Wilson95[0])}-{Percent(all[0].Wilson95[1])})"
            : $"{Percent(mean)} ({Percent(all.Min(f => f.R1!.Value))}-{Percent(all.Max(f => f.R1!.Value))} of {all.Length} seeds)";
    }

    private static string Percent(double fraction) => string.Create(CultureInfo.InvariantCulture, $"{100 * fraction:F1}");
}
