using System.Globalization;
using System.Text;

namespace CrossAlign.Models.Evaluation.Report;

/// <summary>
/// The plots, as inline SVG. Written here rather than by a plotting library: the registry's libraries export fixed colours and fixed
/// sizes, and these follow the reader's light or dark preference and the width of the screen.
/// </summary>
internal static class ReportPlots
{
    private const int Width = 480;
    private const int Height = 260;
    private const int Left = 44;
    private const int Bottom = 30;
    private const int Top = 10;
    private const int Right = 12;
    private const int MapSize = 420;

    // More points than a screen has pixels only make the file larger.
    private const int CurvePoints = 300;

    private const int HighlightedConcepts = 8;

    /// <summary>Adds the learning curves: loss, and recall on the validation concepts.</summary>
    /// <param name="html">Appended to.</param>
    /// <param name="model">The report.</param>
    internal static void AddCurves(HtmlBuilder html, ReportModel model)
    {
        LearningCurve[] curves = [.. model.Curves.Where(c => c.Loss.Count + c.Recall.Count > 0)];
        if (curves.Length == 0)
        {
            return;
        }

        html.AddRaw("<h2 id=\"curves\">Learning curves</h2>\n<p>One line a run; runs of the same set-up share a colour.</p>\n");
        string[] setups = [.. model.Setups.Select(s => s.Name).Where(n => curves.Any(c => c.Setup == n))];
        AddLegend(html, setups.Select(s => (model.Setups.First(x => x.Name == s).Title, Index(model, s))));
        html.AddRaw("<div class=\"grid\">\n");
        AddPlot(html, model, curves, c => c.Loss, "Training loss", percent: false);
        AddPlot(html, model, curves, c => c.Recall, "R@1 between pictures and captions of validation things, mean over languages and directions", percent: true);
        html.AddRaw("</div>\n");
    }

    /// <summary>Adds the maps of captions.</summary>
    /// <param name="html">Appended to.</param>
    /// <param name="model">The report.</param>
    internal static void AddMaps(HtmlBuilder html, ReportModel model)
    {
        if (model.Maps.Count == 0)
        {
            return;
        }

        html.AddRaw("<h2 id=\"maps\">Maps of the captions</h2>\n<p>Each dot is a caption, placed by t-SNE so that captions with alike vectors are near. "
            + "Where languages did not meet they form islands of one colour; where they met the colours mix. "
            + "Lines join the captions of the same few things.</p>\n");
        string[] languages = [.. model.Languages.Select(l => l.Code).Where(c => model.Maps.Any(m => m.Points.Any(p => p.Language == c)))];
        AddLegend(html, languages.Select((code, i) => (model.Languages.First(l => l.Code == code).Name, i)));
        html.AddRaw("<div class=\"grid\">\n");
        foreach (CaptionMap map in model.Maps)
        {
            AddMap(html, model, map, languages);
        }

        html.AddRaw("</div>\n");
    }

    private static void AddMap(HtmlBuilder html, ReportModel model, CaptionMap map, string[] languages)
    {
        string title = model.Setups.FirstOrDefault(s => s.Name == map.Setup)?.Title ?? map.Setup;
        CaptionMapPoint[] points = [.. map.Points.Where(p => double.IsFinite(p.X) && double.IsFinite(p.Y))];
        html.Add($"<figure><svg viewBox=\"0 0 {MapSize} {MapSize}\" role=\"img\" aria-label=\"Map of {points.Length} captions of set-up {title}, coloured by language\">\n");
        if (points.Length > 0)
        {
            double x0 = points.Min(p => p.X);
            double y0 = points.Min(p => p.Y);
            double span = Math.Max(points.Max(p => p.X) - x0, points.Max(p => p.Y) - y0);
            double scale = span > 0 ? (MapSize - 24) / span : 0;
            double offsetX = (MapSize - (scale * (points.Max(p => p.X) - x0))) / 2;
            double offsetY = (MapSize - (scale * (points.Max(p => p.Y) - y0))) / 2;
            string At(CaptionMapPoint p) => Invariant($"{offsetX + (scale * (p.X - x0)):0.#} {offsetY + (scale * (p.Y - y0)):0.#}");
            for (int i = 0; i < languages.Length; i++)
            {
                StringBuilder path = new();
                foreach (CaptionMapPoint point in points.Where(p => p.Language == languages[i]))
                {
                    path.Append('M').Append(At(point)).Append("h0");
                }

                html.AddRaw(Invariant($"<path class=\"dots s{i % ReportStyle.ColourCount}\" d=\"{path}\"/>\n"));
            }

            // A star from the first caption of a thing to its others: short where the languages met.
            StringBuilder ties = new();
            foreach (IGrouping<string, CaptionMapPoint> concept in points.GroupBy(p => p.Concept).Where(g => g.Count() > 1).Take(HighlightedConcepts))
            {
                CaptionMapPoint first = concept.First();
                foreach (CaptionMapPoint other in concept.Skip(1))
                {
                    ties.Append('M').Append(At(first)).Append('L').Append(At(other));
                }
            }

            html.AddRaw($"<path class=\"tie\" d=\"{ties}\"/>\n");
        }

        html.Add($"</svg><figcaption><strong>{title}.</strong> ");
        if (map.TranslationIsNearest() is { } share)
        {
            html.Add($"For {ReportSummary.Percent(share)} of the captions the nearest one on the map is a translation. ");
        }

        html.Add($"{points.Length} captions, divergence {map.KullbackLeibler:0.00}.</figcaption></figure>\n");
    }

    private static void AddPlot(
        HtmlBuilder html, ReportModel model, LearningCurve[] curves, Func<LearningCurve, IReadOnlyList<CurvePoint>> values, string title, bool percent)
    {
        CurvePoint[] all = [.. curves.SelectMany(values).Where(p => double.IsFinite(p.Value))];
        if (all.Length == 0)
        {
            return;
        }

        int lastStep = Math.Max(1, all.Max(p => p.Step));
        double[] ticks = Ticks(percent ? Math.Min(1, all.Max(p => p.Value)) : all.Max(p => p.Value));
        double top = ticks[^1];
        html.Add($"<figure><svg viewBox=\"0 0 {Width} {Height}\" role=\"img\" aria-label=\"{title} by step, {curves.Length} runs\">\n");
        foreach (double tick in ticks)
        {
            double y = Y(tick, top);
            string label = percent ? Invariant($"{100 * tick:0.#} %") : Invariant($"{tick:0.##}");
            html.AddRaw(Invariant($"<path class=\"axis\" d=\"M{Left} {y:0.#}H{Width - Right}\"/><text x=\"{Left - 6}\" y=\"{y + 4:0.#}\" text-anchor=\"end\">{label}</text>\n"));
        }

        foreach (double tick in Ticks(lastStep).Where(t => t <= lastStep))
        {
            double x = X(tick, lastStep);
            html.AddRaw(Invariant($"<text x=\"{x:0.#}\" y=\"{Height - Bottom + 18}\" text-anchor=\"middle\">{tick:#,0}</text>\n"));
        }

        foreach (LearningCurve curve in curves)
        {
            CurvePoint[] points = [.. Thinned(values(curve).Where(p => double.IsFinite(p.Value)).ToArray())];
            if (points.Length == 0)
            {
                continue;
            }

            string path = string.Join('L', points.Select(p => Invariant($"{X(p.Step, lastStep):0.#} {Y(p.Value, top):0.#}")));
            html.AddRaw(Invariant($"<path class=\"curve s{Index(model, curve.Setup) % ReportStyle.ColourCount}\" d=\"M{path}\"/>\n"));
        }

        html.Add($"</svg><figcaption><strong>{title}</strong>, by step.</figcaption></figure>\n");
    }

    private static void AddLegend(HtmlBuilder html, IEnumerable<(string Name, int Colour)> entries)
    {
        html.AddRaw("<ul class=\"legend\">");
        foreach ((string name, int colour) in entries)
        {
            html.AddRaw(Invariant($"<li><svg viewBox=\"0 0 18 12\" aria-hidden=\"true\"><path class=\"s{colour % ReportStyle.ColourCount}\" stroke-width=\"8\" stroke-linecap=\"round\" d=\"M5 6h8\"/></svg>"));
            html.Add($"{name}</li>");
        }

        html.AddRaw("</ul>\n");
    }

    // Means over equal stretches: single steps are noisy, and every point of the run still counts.
    private static IEnumerable<CurvePoint> Thinned(CurvePoint[] points)
    {
        int stretch = (points.Length + CurvePoints - 1) / CurvePoints;
        return stretch <= 1
            ? points
            : points.Chunk(stretch).Select(c => new CurvePoint((int)c.Average(p => p.Step), c.Average(p => p.Value)));
    }

    // 0 to the first round number that is not below the largest value, in 3 to 6 parts.
    private static double[] Ticks(double largest)
    {
        if (!(largest > 0))
        {
            return [0, 1];
        }

        double magnitude = Math.Pow(10, Math.Floor(Math.Log10(largest)));
        double step = new[] { 0.1, 0.2, 0.5, 1, 2, 5 }.Select(f => f * magnitude).First(s => largest / s <= 5);
        int count = (int)Math.Ceiling((largest / step) - 1e-9);
        return [.. Enumerable.Range(0, count + 1).Select(i => i * step)];
    }

    private static double X(double step, double lastStep) => Left + ((Width - Left - Right) * step / lastStep);

    private static double Y(double value, double top) => Height - Bottom - ((Height - Bottom - Top) * Math.Clamp(value / top, 0, 1));

    private static int Index(ReportModel model, string setup) => Math.Max(0, model.Setups.ToList().FindIndex(s => s.Name == setup));

    private static string Invariant(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
