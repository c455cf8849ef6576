using CrossAlign.Kernels;
using CrossAlign.Models;
using CrossAlign.Models.Profiling;
using Spectre.Console;

namespace CrossAlign.Cli;

/// <summary><c>crossalign profile --kernels</c>: what the kernels cost by the emulated device's counters.</summary>
internal static class KernelProfileView
{
    /// <summary>Counts, and shows or writes the result.</summary>
    /// <param name="terminal">Where to.</param>
    /// <param name="tokens">Rows of activations.</param>
    /// <param name="operations">Of which operations.</param>
    /// <param name="markdown">A document whose table is replaced, or null.</param>
    /// <param name="cancellation">Stops between two operations.</param>
    /// <returns>The exit code.</returns>
    public static int Run(Terminal terminal, int tokens, IReadOnlyCollection<string> operations, FileInfo? markdown, CancellationToken cancellation)
    {
        if (markdown is { Exists: false })
        {
            throw new WrongInvocationException(new UserErrorException($"there is no document '{markdown}'", "name one that has the table's marks, docs/kernels.md for example"));
        }

        Lines lines = new(terminal);
        KernelProfileReport report = KernelProfiler.Run([.. KernelProfileCases.For(tokens).Where(c => operations.Contains(c.Operation))], lines, cancellation);
        if (operations.Contains(nameof(SimilarityCrossEntropy)))
        {
            report = report with { Loss = LossProjector.RunAll(lines, cancellation) };
        }

        terminal.ClearLive();
        if (markdown is not null)
        {
            AtomicFile.WriteText(markdown.FullName, KernelProfileTable.Insert(File.ReadAllText(markdown.FullName), report));
            terminal.Say($"the table of {markdown} is up to date");
        }

        if (terminal.IsJson)
        {
            terminal.Results.Write(report.ToJson());
        }
        else if (markdown is null)
        {
            Show(terminal, report);
        }

        return CommandLine.Success;
    }

    private static void Show(Terminal terminal, KernelProfileReport report)
    {
        terminal.Say(report.Note);
        foreach (IGrouping<string, KernelProfileRow> one in report.Kernels.GroupBy(KernelProfileTable.Title, StringComparer.Ordinal))
        {
            terminal.Say(string.Empty);
            terminal.Say(one.Key);
            Table table = new Table().Border(TableBorder.Simple).AddColumns([.. KernelProfileTable.Columns]);
            foreach (KernelProfileRow row in one)
            {
                table.AddRow([.. KernelProfileTable.Cells(row).Select(Markup.Escape)]);
            }

            terminal.Write(table);
        }

        foreach (LossProjection loss in report.Loss)
        {
            terminal.Say(string.Empty);
            terminal.Say($"One call of the loss, {KernelProfileTable.Title(loss)}; least milliseconds by resource");
            Table table = new Table().Border(TableBorder.Simple).AddColumns([.. KernelProfileTable.LossColumns]);
            foreach (IReadOnlyList<string> cells in KernelProfileTable.LossCells(loss))
            {
                table.AddRow([.. cells.Select(Markup.Escape)]);
            }

            terminal.Write(table);
        }
    }

    private sealed class Lines(Terminal terminal) : IProgress<string>
    {
        public void Report(string value) => terminal.Live(value);
    }
}
