using System.Globalization;
using System.Text;
using CrossAlign.Models.Data;

namespace CrossAlign.Models.Evaluation.Report;

/// <summary>
/// Writes <c>report.html</c>: one file that opens without a network, with the answer in plain words, the comparison, learning curves,
/// maps of the captions, pictures with their nearest captions, settings and licences. It runs no script and loads nothing.
/// </summary>
public static class ReportPage
{
    /// <summary>Writes the page in UTF-8.</summary>
    /// <param name="model">What it shows.</param>
    /// <param name="stream">Where to.</param>
    public static void Write(ReportModel model, Stream stream)
    {
        ArgumentNullException.ThrowIfNull(stream);
        stream.Write(Encoding.UTF8.GetBytes(ToHtml(model)));
    }

    /// <summary>The page as text.</summary>
    /// <param name="model">What it shows.</param>
    /// <returns>A whole HTML document.</returns>
    public static string ToHtml(ReportModel model)
    {
        ArgumentNullException.ThrowIfNull(model);
        HtmlBuilder html = new();
        html.AddRaw("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
        html.AddRaw("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n");

        // The page may show pictures and styles of its own and nothing else: even a forgotten escape could load or run nothing.
        html.AddRaw("<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'\">\n");
        html.AddRaw("<meta name=\"color-scheme\" content=\"light dark\">\n");
        html.AddRaw("<title>CrossAlign: do pictures align languages?</title>\n<style>\n").AddRaw(ReportStyle.Sheet).AddRaw("\n</style>\n</head>\n<body>\n");
        AddHeader(html, model);
        html.AddRaw("<main>\n");
        ReportTables.AddComparison(html, model);
        ReportTables.AddFurther(html, model);
        ReportPlots.AddCurves(html, model);
        ReportPlots.AddMaps(html, model);
        ReportPictures.Add(html, model);
        AddConfiguration(html, model);
        AddSources(html, model);
        html.AddRaw("</main>\n");
        FigureRun run = model.Figures.Run;
        html.Add($"<footer><p>Written by CrossAlign {run.Version}. The same figures, one object each, are in <code>report.json</code>.</p></footer>\n");
        html.AddRaw("</body>\n</html>\n");
        return html.ToString();
    }

    private static void AddHeader(HtmlBuilder html, ReportModel model)
    {
        FigureRun run = model.Figures.Run;
        html.Add($"<header>\n<p class=\"eyebrow\">CrossAlign report · {run.Started.UtcDateTime.ToString("d MMMM yyyy", CultureInfo.InvariantCulture)}</p>\n");
        html.AddRaw("<h1>Can languages be aligned through pictures alone?</h1>\n");
        html.AddRaw("<p class=\"lead\">A text tower and an image tower were trained to agree on pictures and their captions. No text was ever paired with its "
            + "translation, unless a set-up below says so. If captions of different languages still end up side by side, the pictures brought them together.</p>\n");
        foreach (string notice in model.Notices)
        {
            html.Add($"<p class=\"notice\" role=\"note\">{notice}</p>\n");
        }

        IReadOnlyList<(string Verdict, string Evidence)> answer = ReportSummary.Of(model);
        if (answer.Count > 0)
        {
            html.AddRaw("<div class=\"answer\">\n");
            foreach ((string verdict, string evidence) in answer)
            {
                html.Add($"<p><strong>{verdict}</strong> {evidence}</p>\n");
            }

            html.AddRaw("</div>\n");
        }

        if (ReportSummary.Newcomer(model) is { } newcomer)
        {
            string pivot = model.Languages.FirstOrDefault(l => l.Code == model.Pivot)?.Name ?? model.Pivot;
            html.AddRaw("<div class=\"stats\">\n");
            AddStat(html, newcomer.With.Mean!.Value, $"{newcomer.Language.Name} → {pivot}, with {newcomer.Language.Name} captions");
            AddStat(html, newcomer.Without.Mean!.Value, $"{newcomer.Language.Name} → {pivot}, without them");
            if (newcomer.With.Baseline is { } letters)
            {
                AddStat(html, letters, "by comparing letters alone");
            }

            html.Add($"<div class=\"stat\"><b>{newcomer.With.Figure.Pool}</b><span>names to choose from; {newcomer.With.Figure.Count} strict queries</span></div>\n");
            html.AddRaw("</div>\n");
        }

        html.AddRaw("</header>\n");
    }

    private static void AddStat(HtmlBuilder html, double share, string label) =>
        html.Add($"<div class=\"stat\"><b>{ReportSummary.Percent(share)}</b><span>{label}</span></div>\n");

    private static void AddConfiguration(HtmlBuilder html, ReportModel model)
    {
        FigureRun run = model.Figures.Run;
        html.AddRaw("<h2 id=\"how\">How this was made</h2>\n");
        html.AddRaw("<div class=\"scroll\" role=\"region\" aria-label=\"Set-ups\" tabindex=\"0\"><table class=\"prose\"><caption>Set-ups</caption>\n");
        html.AddRaw("<thead><tr><th scope=\"col\">Set-up</th><th scope=\"col\">Who met whom</th><th scope=\"col\">Captions in</th><th scope=\"col\">Speed</th></tr></thead>\n<tbody>\n");
        foreach (ReportSetup setup in model.Setups)
        {
            SetupThroughput[] speeds = [.. model.Figures.Throughput.Where(t => t.Setup == setup.Name && t.CaptionsPerSecond > 0)];
            string speed = speeds.Length == 0 ? "–" : string.Create(
                CultureInfo.InvariantCulture,
                $"{speeds.Average(t => t.CaptionsPerSecond):N0} captions/s, {speeds.Average(t => t.Seconds):N0} s a run");
            string languages = setup.Languages.Count == 0 ? "–" : string.Join(", ", setup.Languages);
            html.Add($"<tr><th scope=\"row\">{setup.Title}</th><td>{setup.Description}</td><td>{languages}</td><td>{speed}</td></tr>\n");
        }

        html.AddRaw("</tbody></table></div>\n");
        List<KeyValuePair<string, string>> settings =
        [
            new("version", run.Commit is null ? run.Version : $"{run.Version} ({run.Commit})"),
            new("device", run.Device),
            new("threads", run.Threads.ToString(CultureInfo.InvariantCulture)),
            new("seeds", string.Join(", ", run.Seeds)),
            new("data", run.Data),
            new("started", run.Started.UtcDateTime.ToString("yyyy-MM-dd HH:mm 'UTC'", CultureInfo.InvariantCulture)),
            new("duration", string.Create(CultureInfo.InvariantCulture, $"{run.Seconds:N0} s")),
            .. model.Configuration,
        ];
        html.AddRaw("<div class=\"scroll\" role=\"region\" aria-label=\"Run and settings\" tabindex=\"0\"><table class=\"prose\"><caption>Run and settings</caption>\n<tbody>\n");
        foreach ((string name, string value) in settings)
        {
            html.Add($"<tr><th scope=\"row\">{name}</th><td>{value}</td></tr>\n");
        }

        html.AddRaw("</tbody></table></div>\n");
    }

    private static void AddSources(HtmlBuilder html, ReportModel model)
    {
        if (model.Sources.Count == 0)
        {
            return;
        }

        html.AddRaw("<h2 id=\"licences\">Data and licences</h2>\n");
        html.AddRaw("<div class=\"scroll\" role=\"region\" aria-label=\"Data and licences\" tabindex=\"0\"><table class=\"prose\"><caption>Where pictures and texts come from</caption>\n");
        html.AddRaw("<thead><tr><th scope=\"col\">Source</th><th scope=\"col\">Version</th><th scope=\"col\">Licence</th><th scope=\"col\">Used for</th></tr></thead>\n<tbody>\n");
        foreach (DataSource source in model.Sources)
        {
            html.Add($"<tr><th scope=\"row\">{source.Name}</th><td>{source.Version}</td><td>{source.Licence}</td><td>{source.Provides}</td></tr>\n");
        }

        html.AddRaw("</tbody></table></div>\n");
    }
}
