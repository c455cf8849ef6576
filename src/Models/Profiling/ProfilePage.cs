using System.Globalization;
using CrossAlign.Models.Evaluation.Report;

namespace CrossAlign.Models.Profiling;

/// <summary>Writes <c>profile.html</c>: one file that opens without a network, in the style of the report page; it runs no script and loads nothing.</summary>
internal static class ProfilePage
{
    private const string NotMeasured = "–";

    /// <summary>The page.</summary>
    public static string ToHtml(ProfileReport report)
    {
        HtmlBuilder html = new();
        html.AddRaw("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
        html.AddRaw("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n");
        html.AddRaw("<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'\">\n");
        html.AddRaw("<meta name=\"color-scheme\" content=\"light dark\">\n");
        html.AddRaw("<title>CrossAlign: profile</title>\n<style>\n").AddRaw(ReportStyle.Sheet).AddRaw("\n.dashed{stroke-dasharray:5 4;opacity:.8}\n</style>\n</head>\n<body>\n");
        AddHeader(html, report.Machine);
        html.AddRaw("<main>\n");
        if (report.Loss.Count > 0)
        {
            AddLoss(html, report);
        }

        if (report.Step is { } step)
        {
            AddStep(html, step);
        }

        html.AddRaw("</main>\n");
        html.Add($"<footer><p>Written by CrossAlign {report.Machine.Version}. The same numbers are in <code>profile.json</code> and <code>profile.csv</code>.</p></footer>\n");
        html.AddRaw("</body>\n</html>\n");
        return html.ToString();
    }

    private static void AddHeader(HtmlBuilder html, ProfileMachine machine)
    {
        html.Add($"<header>\n<p class=\"eyebrow\">CrossAlign profile · {machine.Started.UtcDateTime.ToString("d MMMM yyyy", CultureInfo.InvariantCulture)}</p>\n");
        html.AddRaw("<h1>What the contrastive loss and a training step cost here</h1>\n<div class=\"stats\">\n");
        html.Add($"<div class=\"stat\"><b>{machine.Device}</b><span>{machine.Threads} threads, {machine.SimdTier}</span></div>\n");
        html.Add($"<div class=\"stat\"><b>{(machine.PeakGflops > 0 ? Number(machine.PeakGflops, "0") : "no")}</b><span>GFLOP/s of a plain float32 matrix product, measured at the start</span></div>\n");
        html.Add($"<div class=\"stat\"><b>{MemoryText.Of(machine.MemoryBytes)}</b><span>of memory available at the start</span></div>\n</div>\n</header>\n");
    }

    private static void AddLoss(HtmlBuilder html, ProfileReport report)
    {
        html.AddRaw("<h2 id=\"loss\">The loss</h2>\n<p>Forward and backward with all gradients, medians. Full lines: the fused loss, which never holds the matrix of logits; dashed: "
            + "the naive one, which holds two of them.</p>\n");
        ProfilePlots.AddLoss(html, report.Loss);
        html.AddRaw("<div class=\"scroll\" role=\"region\" aria-label=\"The loss\" tabindex=\"0\"><table><caption>The loss<small>Rates count the additions and multiplications of its "
            + "matrix products. The share is that of a plain product's rate, measured between the calls. Memory is what is held beside embeddings and gradients.</small></caption>\n");
        html.AddRaw("<thead><tr><th scope=\"col\">Variant</th><th scope=\"col\">Precision</th><th scope=\"col\">B</th><th scope=\"col\">E</th><th scope=\"col\">ms</th>"
            + "<th scope=\"col\">Forward, ms</th><th scope=\"col\">GFLOP/s</th><th scope=\"col\">of a plain product, in turns</th><th scope=\"col\">Share</th><th scope=\"col\">Memory</th><th scope=\"col\">Allowed</th>"
            + "<th scope=\"col\">Naive, ms</th><th scope=\"col\">Naive memory</th></tr></thead>\n<tbody>\n");
        foreach (LossProfileRow r in report.Loss)
        {
            html.Add($"<tr><th scope=\"row\">{r.Variant}</th><td>{r.Precision}</td><td>{r.BatchSize:#,0}</td><td>{r.Width}</td>");
            if (r.Refusal is { } refusal)
            {
                html.Add($"<td colspan=\"9\">{refusal}</td></tr>\n");
                continue;
            }

            html.Add($"<td>{Number(r.Milliseconds, "0.0")}<small>{Number(r.MillisecondsP20, "0.0")} to {Number(r.MillisecondsP80, "0.0")}, {r.Calls} calls</small></td>");
            html.Add($"<td>{Number(r.ForwardMilliseconds, "0.0")}</td><td>{Number(r.Gflops, "0")}</td><td>{Number(r.PeakGflops, "0")}</td><td>{Number(100 * r.ShareOfPeak, "0")} %</td>");
            html.Add($"<td>{Bytes(r.MemoryBytes)}</td><td>{MemoryText.Of(r.BoundBytes)}</td>");
            html.Add($"<td>{Number(r.NaiveMilliseconds, "0.0")}<small>{r.NaiveRefusal ?? string.Empty}</small></td><td>{Bytes(r.NaiveBytes)}</td></tr>\n");
        }

        html.AddRaw("</tbody></table></div>\n");
    }

    private static void AddStep(HtmlBuilder html, StepProfile step)
    {
        html.AddRaw("<h2 id=\"step\">A training step</h2>\n");
        html.Add($"<p>{step.Configuration}: {step.BatchSize} pictures with {step.CaptionsPerPicture} captions each, mean of {step.Steps} steps: {step.Milliseconds:0.0} ms, {step.CaptionsPerSecond:#,0} captions a second. ");
        html.Add($"A thread of its own prepares the next step meanwhile, in {step.PreparationMilliseconds:0.0} ms; what is waited for is counted as data. ");
        html.Add($"Tensors held {MemoryText.Of(step.MemoryBytes)}; {MemoryText.Of(step.PredictedBytes)} were predicted before the start.</p>\n");
        ProfilePlots.AddParts(html, step);
        html.AddRaw("<div class=\"scroll\" role=\"region\" aria-label=\"Parts of a step\" tabindex=\"0\"><table><caption>Parts of a step</caption>\n");
        html.AddRaw("<thead><tr><th scope=\"col\">Part</th><th scope=\"col\">ms</th><th scope=\"col\">Share</th></tr></thead>\n<tbody>\n");
        foreach (PartTime part in step.Parts)
        {
            html.Add($"<tr><th scope=\"row\">{part.Part}</th><td>{part.Milliseconds:0.00}</td><td>{100 * part.Share:0.0} %</td></tr>\n");
        }

        html.AddRaw("</tbody></table></div>\n");
        if (step.Operations.Count == 0)
        {
            return;
        }

        html.AddRaw("<div class=\"scroll\" role=\"region\" aria-label=\"Operations of a step\" tabindex=\"0\"><table><caption>Operations of a step"
            + "<small>Of further steps in which each operation was timed. Rates are those of matrix products.</small></caption>\n");
        html.AddRaw("<thead><tr><th scope=\"col\">Operation</th><th scope=\"col\">Calls</th><th scope=\"col\">ms</th><th scope=\"col\">Share</th><th scope=\"col\">GFLOP/s</th></tr></thead>\n<tbody>\n");
        foreach (OperationTime o in step.Operations)
        {
            html.Add($"<tr><th scope=\"row\">{o.Operation}</th><td>{o.Calls:0.#}</td><td>{o.Milliseconds:0.00}</td><td>{100 * o.Share:0.0} %</td><td>{Number(o.Gflops, "0")}</td></tr>\n");
        }

        html.AddRaw("</tbody></table></div>\n");
    }

    private static string Number(double? value, string format) => value?.ToString(format, CultureInfo.InvariantCulture) ?? NotMeasured;

    private static string Bytes(long? value) => value is long known ? MemoryText.Of(known) : NotMeasured;
}
