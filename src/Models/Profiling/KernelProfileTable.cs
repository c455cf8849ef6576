using System.Globalization;
using System.Text;

namespace CrossAlign.Models.Profiling;

/// <summary>The kernels' costs as a table: on a terminal and, the same, in the documentation.</summary>
public static class KernelProfileTable
{
    private const string Begin = "<!-- kernels: begin -->";
    private const string End = "<!-- kernels: end -->";
    private const string LossBegin = "<!-- loss: begin -->";
    private const string LossEnd = "<!-- loss: end -->";

    private static readonly string[] s_ports = ["tensor cores", "shared memory", "memory", "special functions", "issue", "float32"];

    /// <summary>The columns' titles.</summary>
    public static IReadOnlyList<string> Columns { get; } =
    [
        "kernel", "blocks x threads", "shared KiB", "live reg.", "k instr.", "sectors", "/ least", "wavefronts", "/ least", "M mma op", "op/byte",
        .. Gpus().SelectMany(g => (string[])[$"{g} blocks/SM", $"{g} least us", "by"]),
    ];

    /// <summary>The cells of a row, in the order of <see cref="Columns"/>.</summary>
    /// <param name="row">The row.</param>
    /// <returns>Texts.</returns>
    /// <exception cref="ArgumentNullException"><paramref name="row"/> is null.</exception>
    public static IReadOnlyList<string> Cells(KernelProfileRow row)
    {
        ArgumentNullException.ThrowIfNull(row);
        return
        [
            row.Launches == 1 ? row.Kernel : string.Create(CultureInfo.InvariantCulture, $"{row.Kernel} ({row.Launches} launches)"),
            string.Create(CultureInfo.InvariantCulture, $"{row.Blocks} x {row.Threads}"),
            Number(row.SharedBytes / 1024.0, "0.#"),
            Number(row.LiveRegisters, "0"),
            Number(row.Instructions / 1e3, row.Instructions < 10_000 ? "0.#" : "0"),
            Number(row.Sectors, "0"),
            Ratio(row.Sectors, row.MinSectors),
            Number(row.Wavefronts, "0"),
            Ratio(row.Wavefronts, row.MinWavefronts),
            Number(row.TensorOperations / 1e6, "0"),
            Number(row.Intensity, "0.#"),
            .. row.Bounds.SelectMany(b => (string[])
            [
                string.Create(CultureInfo.InvariantCulture, $"{b.ResidentBlocks} ({b.OccupancyLimit})"),
                Number(b.LowerBoundMicroseconds, b.LowerBoundMicroseconds < 1 ? "0.000" : "0.00"),
                b.BoundBy,
            ]),
        ];
    }

    /// <summary>The title of a case: its operation, shape and storage.</summary>
    /// <param name="row">A row of it.</param>
    /// <returns>The text.</returns>
    /// <exception cref="ArgumentNullException"><paramref name="row"/> is null.</exception>
    public static string Title(KernelProfileRow row)
    {
        ArgumentNullException.ThrowIfNull(row);
        return $"{row.Operation}, {row.DType}, {row.Shape}";
    }

    /// <summary>One Markdown table for each operation.</summary>
    /// <param name="report">The report.</param>
    /// <returns>The text, ending in a line feed.</returns>
    /// <exception cref="ArgumentNullException"><paramref name="report"/> is null.</exception>
    public static string ToMarkdown(KernelProfileReport report)
    {
        ArgumentNullException.ThrowIfNull(report);
        StringBuilder text = new();
        foreach (IGrouping<string, KernelProfileRow> one in report.Kernels.GroupBy(Title, StringComparer.Ordinal))
        {
            text.Append(CultureInfo.InvariantCulture, $"### {one.Key}\n\n| {string.Join(" | ", Columns)} |\n|{string.Concat(Columns.Select((_, i) => i == 0 ? " --- |" : " ---: |"))}\n");
            foreach (KernelProfileRow row in one)
            {
                text.Append(CultureInfo.InvariantCulture, $"| {string.Join(" | ", Cells(row))} |\n");
            }

            text.Append('\n');
        }

        return text.ToString().TrimEnd('\n') + "\n";
    }

    /// <summary>The columns of <see cref="LossCells"/>.</summary>
    public static IReadOnlyList<string> LossColumns { get; } = ["kernel", "launches", "tensor Tflop", "GB", "GPU", .. s_ports, "least ms", "by"];

    /// <summary>The rows of a projection's table: one a kernel and GPU, then the call's.</summary>
    /// <param name="loss">The projection.</param>
    /// <returns>Cells in the order of <see cref="LossColumns"/>; times are milliseconds.</returns>
    /// <exception cref="ArgumentNullException"><paramref name="loss"/> is null.</exception>
    public static IEnumerable<IReadOnlyList<string>> LossCells(LossProjection loss)
    {
        ArgumentNullException.ThrowIfNull(loss);
        foreach (LossProjectionPart part in loss.Parts)
        {
            for (int g = 0; g < part.Gpus.Count; g++)
            {
                yield return g == 0
                    ? [part.Kernel, Number(part.Launches, "0"), Number(part.TensorTflop, "0.00"), Number(part.Gigabytes, "0.0"), .. Times(part.Gpus[g])]
                    : [string.Empty, string.Empty, string.Empty, string.Empty, .. Times(part.Gpus[g])];
            }
        }

        foreach (PortTimes total in loss.Total)
        {
            yield return ["the call", string.Empty, Number(loss.Parts.Sum(p => p.TensorTflop), "0.00"), Number(loss.Parts.Sum(p => p.Gigabytes), "0.0"), .. Times(total)];
        }
    }

    /// <summary>The title of a projection.</summary>
    /// <param name="loss">The projection.</param>
    /// <returns>The text.</returns>
    /// <exception cref="ArgumentNullException"><paramref name="loss"/> is null.</exception>
    public static string Title(LossProjection loss)
    {
        ArgumentNullException.ThrowIfNull(loss);
        return string.Create(CultureInfo.InvariantCulture, $"{loss.Precision}, B = {loss.Rows}, E = {loss.Width}, {loss.SuperTiles} super-tiles");
    }

    /// <summary>Replaces what stands between a document's marks.</summary>
    /// <param name="document">A text with the marks <c>&lt;!-- kernels: begin --&gt;</c>, <c>&lt;!-- loss: begin --&gt;</c> and their ends.</param>
    /// <param name="report">The report; one without projections of the loss leaves theirs.</param>
    /// <returns>The new text.</returns>
    /// <exception cref="ArgumentNullException">An argument is null.</exception>
    /// <exception cref="UserErrorException">The text has no such marks.</exception>
    public static string Insert(string document, KernelProfileReport report)
    {
        ArgumentNullException.ThrowIfNull(document);
        ArgumentNullException.ThrowIfNull(report);
        string text = Replace(document, Begin, End, ToMarkdown(report));
        return report.Loss.Count == 0 ? text : Replace(text, LossBegin, LossEnd, LossToMarkdown(report.Loss));
    }

    private static string LossToMarkdown(IReadOnlyList<LossProjection> projections)
    {
        StringBuilder text = new();
        foreach (LossProjection loss in projections)
        {
            text.Append(CultureInfo.InvariantCulture, $"### {Title(loss)}\n\n| {string.Join(" | ", LossColumns)} |\n|{string.Concat(LossColumns.Select((c, _) => c is "kernel" or "GPU" or "by" ? " --- |" : " ---: |"))}\n");
            foreach (IReadOnlyList<string> cells in LossCells(loss))
            {
                text.Append(CultureInfo.InvariantCulture, $"| {string.Join(" | ", cells)} |\n");
            }

            text.Append('\n');
        }

        return text.ToString().TrimEnd('\n') + "\n";
    }

    private static string Replace(string document, string beginMark, string endMark, string text)
    {
        int begin = document.IndexOf(beginMark, StringComparison.Ordinal);
        int end = document.IndexOf(endMark, StringComparison.Ordinal);
        return begin >= 0 && end > begin
            ? $"{document[..(begin + beginMark.Length)]}\n\n{text}\n{document[end..]}"
            : throw new UserErrorException("the document has no place for the kernels' table", $"write {beginMark} and {endMark} on lines of their own");
    }

    private static IEnumerable<string> Times(PortTimes times) =>
        [times.Gpu, .. s_ports.Select(p => Number(times.Milliseconds[p], "0.00")), Number(times.LeastMilliseconds, "0.0"), times.BoundBy];

    private static string[] Gpus() => [GpuDataSheet.A100.Name, GpuDataSheet.H100.Name];

    private static string Ratio(long count, long least) => least == 0 ? "-" : Number(count / (double)least, "0.00");

    private static string Number(double value, string format) => value.ToString(format, CultureInfo.InvariantCulture);
}
