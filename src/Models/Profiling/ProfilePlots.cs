using System.Globalization;
using CrossAlign.Models.Evaluation.Report;

namespace CrossAlign.Models.Profiling;

/// <summary>The plots of a profile as inline SVG: time and memory by batch size on logarithmic axes, and a step as one bar.</summary>
internal static class ProfilePlots
{
    private const int Width = 480;
    private const int Height = 280;
    private const int Left = 62;
    private const int Bottom = 34;
    private const int Top = 12;
    private const int Right = 14;
    private const int BarHeight = 34;

    /// <summary>Adds the plots of the loss: a line a form, width and precision.</summary>
    public static void AddLoss(HtmlBuilder html, IReadOnlyList<LossProfileRow> rows)
    {
        LossProfileRow[] measured = [.. rows.Where(r => r.Milliseconds is not null)];
        if (measured.Length == 0)
        {
            return;
        }

        string[] series = [.. measured.Select(SeriesOf).Distinct()];
        html.AddRaw("<ul class=\"legend\">");
        for (int i = 0; i < series.Length; i++)
        {
            html.AddRaw(Invariant($"<li><svg viewBox=\"0 0 18 12\" aria-hidden=\"true\"><path class=\"s{i % ReportStyle.ColourCount}\" stroke-width=\"8\" stroke-linecap=\"round\" d=\"M5 6h8\"/></svg>"));
            html.Add($"{series[i]}</li>");
        }

        html.AddRaw("</ul>\n<div class=\"grid\">\n");
        AddPlot(html, measured, series, "Time", r => r.Milliseconds, r => r.NaiveMilliseconds, Time);
        AddPlot(html, measured, series, "Memory beside embeddings and gradients", r => r.MemoryBytes, r => r.NaiveBytes, v => MemoryText.Of((long)v));
        AddPlot(html, measured, series, "Rate of matrix products", r => r.Gflops, _ => null, v => Invariant($"{v:0.###} GFLOP/s"));
        html.AddRaw("</div>\n");
    }

    /// <summary>Adds the bar of a step's parts.</summary>
    public static void AddParts(HtmlBuilder html, StepProfile step)
    {
        html.AddRaw("<ul class=\"legend\">");
        for (int i = 0; i < step.Parts.Count; i++)
        {
            html.AddRaw(Invariant($"<li><svg viewBox=\"0 0 18 12\" aria-hidden=\"true\"><path class=\"s{i}\" stroke-width=\"8\" stroke-linecap=\"round\" d=\"M5 6h8\"/></svg>"));
            html.Add($"{step.Parts[i].Part} {100 * step.Parts[i].Share:0.0} %</li>");
        }

        html.AddRaw("</ul>\n");
        html.Add($"<figure><svg viewBox=\"0 0 960 {BarHeight}\" role=\"img\" aria-label=\"Parts of a training step\">\n");
        double at = 0;
        for (int i = 0; i < step.Parts.Count; i++)
        {
            double width = 960 * step.Parts[i].Share;
            html.AddRaw(Invariant($"<path class=\"s{i}\" stroke-width=\"{BarHeight}\" d=\"M{at:0.##} {BarHeight / 2}h{width:0.##}\"/>\n"));
            at += width;
        }

        html.Add($"</svg><figcaption><strong>{step.Milliseconds:0.0} ms</strong> a step.</figcaption></figure>\n");
    }

    private static void AddPlot(
        HtmlBuilder html,
        LossProfileRow[] rows,
        string[] series,
        string title,
        Func<LossProfileRow, double?> fused,
        Func<LossProfileRow, double?> naive,
        Func<double, string> label)
    {
        double[] values = [.. rows.SelectMany(r => new[] { fused(r), naive(r) }).OfType<double>().Where(v => v > 0)];
        if (values.Length == 0)
        {
            return;
        }

        int[] sizes = [.. rows.Select(r => r.BatchSize).Distinct().Order()];
        double low = Math.Floor(Math.Log10(values.Min()));
        double high = Math.Max(low + 1, Math.Ceiling(Math.Log10(values.Max())));
        html.Add($"<figure><svg viewBox=\"0 0 {Width} {Height}\" role=\"img\" aria-label=\"{title} by batch size, {series.Length} forms of the loss\">\n");
        for (double decade = low; decade <= high; decade++)
        {
            double y = Y(Math.Pow(10, decade), low, high);
            html.AddRaw(Invariant($"<path class=\"axis\" d=\"M{Left} {y:0.#}H{Width - Right}\"/><text x=\"{Left - 6}\" y=\"{y + 4:0.#}\" text-anchor=\"end\">"));
            html.Add($"{label(Math.Pow(10, decade))}</text>\n");
        }

        double lastX = double.NegativeInfinity;
        foreach (int size in sizes)
        {
            // A label that would overlap the one before it is left out; its points are in the table.
            double x = X(size, sizes);
            if (x - lastX >= 44)
            {
                html.AddRaw(Invariant($"<text x=\"{x:0.#}\" y=\"{Height - Bottom + 18}\" text-anchor=\"middle\">{size:#,0}</text>\n"));
                lastX = x;
            }
        }

        for (int i = 0; i < series.Length; i++)
        {
            LossProfileRow[] points = [.. rows.Where(r => SeriesOf(r) == series[i]).OrderBy(r => r.BatchSize)];
            AddLine(html, points, fused, $"curve s{i % ReportStyle.ColourCount}", sizes, low, high);
            AddLine(html, points, naive, $"curve dashed s{i % ReportStyle.ColourCount}", sizes, low, high);
        }

        html.Add($"</svg><figcaption><strong>{title}</strong>, by batch size; both axes are logarithmic.</figcaption></figure>\n");
    }

    private static void AddLine(HtmlBuilder html, LossProfileRow[] rows, Func<LossProfileRow, double?> value, string style, int[] sizes, double low, double high)
    {
        string[] points = [.. rows.Where(r => value(r) > 0).Select(r => Invariant($"{X(r.BatchSize, sizes):0.#} {Y(value(r)!.Value, low, high):0.#}"))];
        if (points.Length == 0)
        {
            return;
        }

        // One point alone has no line: a dot.
        html.AddRaw(points.Length == 1
            ? $"<path class=\"{style}\" stroke-linecap=\"round\" style=\"stroke-width:6\" d=\"M{points[0]}h0\"/>\n"
            : $"<path class=\"{style}\" d=\"M{string.Join('L', points)}\"/>\n");
    }

    private static string SeriesOf(LossProfileRow row) => Invariant($"{row.Variant}, E = {row.Width}, {row.Precision}");

    private static string Time(double milliseconds) => milliseconds >= 1000 ? Invariant($"{milliseconds / 1000:#,0.###} s") : Invariant($"{milliseconds:0.###} ms");

    private static double X(int size, int[] sizes)
    {
        double span = Math.Log((double)sizes[^1] / sizes[0]);
        double place = span > 0 ? Math.Log((double)size / sizes[0]) / span : 0.5;
        return Left + 18 + ((Width - Left - Right - 36) * place);
    }

    private static double Y(double value, double low, double high) =>
        Height - Bottom - ((Height - Bottom - Top) * (Math.Log10(value) - low) / (high - low));

    private static string Invariant(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
