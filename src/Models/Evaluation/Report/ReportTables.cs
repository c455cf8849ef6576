using System.Globalization;

namespace CrossAlign.Models.Evaluation.Report;

/// <summary>The tables of the page: mean over seeds, spread, interval, baseline.</summary>
internal static class ReportTables
{
    private static readonly (string Set, string Title, string Explanation)[] s_sets =
    [
        ("seen", "Seen things", "training shows the picture and the name"),
        ("held-out-captions", "Held-out captions", "training shows the picture, the name in no language"),
        ("unseen", "Unseen things", "training shows neither picture nor name"),
        ("validation", "Validation things", "not trained on; they decide which weights are kept"),
        (ConceptSetNames.Udhr, "Declaration of Human Rights", "paragraphs of a text of another kind than the captions"),
    ];

    /// <summary>The comparison: every set, set-up x language, towards the pivot.</summary>
    /// <param name="html">Appended to.</param>
    /// <param name="model">The report.</param>
    internal static void AddComparison(HtmlBuilder html, ReportModel model)
    {
        string pivot = NameOf(model, model.Pivot);
        html.AddRaw("<h2 id=\"comparison\">The comparison</h2>\n");
        html.Add($"<p>Each cell says how often a name finds its {pivot} name first (R@1, cosine). ");
        html.AddRaw("Small print: 95 % interval of that share. “Letters alone” compares character 1- to 4-grams and understands nothing; "
            + "only what lies beyond it was learned. Only strict queries are counted, whose names share no word. "
            + "<span class=\"new\">Green</span>: the interval lies above that of letters alone.</p>\n");
        int tables = 0;
        foreach ((string set, string title, string explanation) in s_sets)
        {
            string queries = set == ConceptSetNames.Udhr ? "all" : "strict";
            tables += AddBitext(html, model, set, title, explanation, towardsPivot: true, queries, "cosine") ? 1 : 0;
        }

        if (tables == 0)
        {
            html.AddRaw("<p class=\"soft\">No bitext figures were measured.</p>\n");
        }
    }

    /// <summary>The other direction, the other scores and queries, and pictures.</summary>
    /// <param name="html">Appended to.</param>
    /// <param name="model">The report.</param>
    internal static void AddFurther(HtmlBuilder html, ReportModel model)
    {
        string pivot = NameOf(model, model.Pivot);
        html.Add($"<details><summary>From {pivot} to the other languages</summary>\n");
        foreach ((string set, string title, string explanation) in s_sets)
        {
            AddBitext(html, model, set, title, explanation, towardsPivot: false, set == ConceptSetNames.Udhr ? "all" : "strict", "cosine");
        }

        html.AddRaw("</details>\n<details><summary>Other scores and queries</summary>\n");
        (string Queries, string Score)[] others =
        [
            .. model.Figures.Figures.Where(f => f.Task == FigureTasks.Bitext && f.Set == "seen" && f.To == model.Pivot)
                .Select(f => (f.Queries, f.Score)).Distinct().Where(x => x != ("strict", "cosine")),
        ];
        foreach ((string queries, string score) in others)
        {
            AddBitext(html, model, "seen", $"Seen things, {queries} queries, {score}", "towards " + pivot, towardsPivot: true, queries, score);
        }

        html.AddRaw("</details>\n");
        AddPictures(html, model);
    }

    private static bool AddBitext(
        HtmlBuilder html, ReportModel model, string set, string title, string explanation, bool towardsPivot, string queries, string score)
    {
        FigureFilter filter = new() { Task = FigureTasks.Bitext, Set = set, Queries = queries, Score = score };
        string Other(Figure f) => towardsPivot ? f.From : f.To;
        Figure[] figures =
            [.. filter.Apply(model.Figures.Figures).Where(f => (towardsPivot ? f.To : f.From) == model.Pivot && Other(f) != model.Pivot)];
        if (figures.Length == 0)
        {
            return false;
        }

        FigureTable table = FigureTable.Pivot(figures, f => f.Setup, Other);
        string[] languages = [.. Ordered(model.Languages.Select(l => l.Code), table.Columns)];
        html.Add($"<div class=\"scroll\" role=\"region\" aria-label=\"{title}\" tabindex=\"0\"><table><caption>{title}<small>{explanation}</small></caption>\n");
        html.AddRaw("<thead><tr><th scope=\"col\">Set-up</th>");
        foreach (string language in languages)
        {
            string direction = towardsPivot ? $"{NameOf(model, language)}\u00A0→" : $"→\u00A0{NameOf(model, language)}";
            Figure sample = figures.First(f => Other(f) == language);
            html.Add($"<th scope=\"col\">{direction}<span class=\"pool\">{sample.Count} queries<br>pool {sample.Pool}</span></th>");
        }

        html.AddRaw("</tr></thead>\n<tbody>\n");
        foreach (string setup in Ordered(model.Setups.Select(s => s.Name), table.Rows))
        {
            html.Add($"<tr><th scope=\"row\">{TitleOf(model, setup)}</th>");
            foreach (string language in languages)
            {
                AddCell(html, table[setup, language]);
            }

            html.AddRaw("</tr>\n");
        }

        html.AddRaw("<tr class=\"base\"><th scope=\"row\">Letters alone</th>");
        foreach (string language in languages)
        {
            SeedStatistics? measured = table.Rows.Select(r => table[r, language]).FirstOrDefault(s => s?.Baseline is not null);
            if (measured is { Baseline: { } baseline, BaselineInterval: { } interval })
            {
                html.Add($"<td>{ReportSummary.Percent(baseline)}<small>{Digits(interval.Low)} to {Digits(interval.High)}</small></td>");
            }
            else
            {
                html.AddRaw("<td>–</td>");
            }
        }

        html.AddRaw("</tr>\n</tbody></table></div>\n");
        return true;
    }

    private static void AddPictures(HtmlBuilder html, ReportModel model)
    {
        FigureFilter filter = new() { Task = FigureTasks.Retrieval, Queries = "all", Score = "cosine" };
        Figure[] figures =
        [
            .. filter.Apply(model.Figures.Figures).Where(f =>
                (f.From == FigureTasks.Picture && f.To == model.Pivot) || (f.To == FigureTasks.Picture && f.From == model.Pivot)),
        ];
        if (figures.Length == 0)
        {
            return;
        }

        string pivot = NameOf(model, model.Pivot);
        html.Add($"<h2 id=\"pictures\">Pictures and {pivot} captions</h2>\n");
        html.AddRaw("<p>How often the right caption is first for a picture, and the right picture for a caption (R@1, cosine).</p>\n");
        foreach (bool fromPicture in (bool[])[true, false])
        {
            Figure[] direction = [.. figures.Where(f => (f.From == FigureTasks.Picture) == fromPicture)];
            if (direction.Length == 0)
            {
                continue;
            }

            FigureTable table = FigureTable.Pivot(direction, f => f.Setup, f => Column(f));
            string title = fromPicture ? $"Picture → {pivot} caption" : $"{pivot} caption → picture";
            html.Add($"<div class=\"scroll\" role=\"region\" aria-label=\"{title}\" tabindex=\"0\"><table><caption>{title}</caption>\n<thead><tr><th scope=\"col\">Set-up</th>");
            foreach (string column in table.Columns)
            {
                Figure sample = direction.First(f => Column(f) == column);
                html.Add($"<th scope=\"col\">{s_sets.FirstOrDefault(s => s.Set == sample.Set).Title ?? sample.Set}<span class=\"pool\">{sample.Style ?? "any style"}<br>{sample.Count} queries<br>pool {sample.Pool}</span></th>");
            }

            html.AddRaw("</tr></thead>\n<tbody>\n");
            foreach (string setup in Ordered(model.Setups.Select(s => s.Name), table.Rows))
            {
                html.Add($"<tr><th scope=\"row\">{TitleOf(model, setup)}</th>");
                foreach (string column in table.Columns)
                {
                    AddCell(html, table[setup, column]);
                }

                html.AddRaw("</tr>\n");
            }

            html.AddRaw("</tbody></table></div>\n");
        }

        static string Column(Figure f) => $"{f.Set} {f.Style}";
    }

    private static void AddCell(HtmlBuilder html, SeedStatistics? statistics)
    {
        if (statistics?.Mean is not { } mean)
        {
            html.AddRaw("<td>–</td>");
            return;
        }

        html.AddRaw(statistics.ExceedsBaseline ? "<td><span class=\"new\">" : "<td><span>").Add($"{ReportSummary.Percent(mean)}</span>");
        if (statistics.Deviation is { } deviation)
        {
            html.Add($" <span class=\"spread\">± {(100 * deviation).ToString("0.0", CultureInfo.InvariantCulture)}</span>");
        }

        html.Add($"<small>{Digits(statistics.Interval.Low)} to {Digits(statistics.Interval.High)}</small></td>");
    }

    private static string Digits(double share) => (100 * share).ToString("0.0", CultureInfo.InvariantCulture);

    private static IEnumerable<string> Ordered(IEnumerable<string> order, IReadOnlyList<string> present)
    {
        string[] known = [.. order.Where(present.Contains)];
        return known.Concat(present.Except(known));
    }

    private static string NameOf(ReportModel model, string code) => model.Languages.FirstOrDefault(l => l.Code == code)?.Name ?? code;

    private static string TitleOf(ReportModel model, string setup) => model.Setups.FirstOrDefault(s => s.Name == setup)?.Title ?? setup;
}
