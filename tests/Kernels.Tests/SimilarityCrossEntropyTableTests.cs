using System.Globalization;
using System.Text;
using CrossAlign.Kernels.Tests.Harness;
using CrossAlign.Runtime;

namespace CrossAlign.Kernels.Tests;

/// <summary>The table of combinations in <c>docs/loss.md</c> is what the code does: each cell is run.</summary>
public sealed class SimilarityCrossEntropyTableTests
{
    private const int B = 12;
    private const int E = 8;
    private const string Begin = "<!-- combinations: written by SimilarityCrossEntropyTableTests -->";
    private const string End = "<!-- end of combinations -->";

    private sealed record Feature(string Name, Func<SimilarityCrossEntropyCase, SimilarityCrossEntropyCase> Apply, string Excludes = "");

    private static readonly Feature[] s_features =
    [
        new("rows only", x => x with { Options = x.Options with { Direction = SimilarityCrossEntropyDirection.CaptionToImage } }, "direction"),
        new("columns only", x => x with { Options = x.Options with { Direction = SimilarityCrossEntropyDirection.ImageToCaption } }, "direction"),
        new("sigmoid", x => x with { Options = x.Options with { Objective = SimilarityCrossEntropyObjective.Sigmoid }, Bias = -1 }),
        new("masked groups", x => Grouped(x, SimilarityCrossEntropyGroups.Masked), "groups"),
        new("shared groups", x => Grouped(x, SimilarityCrossEntropyGroups.Shared), "groups"),
        new("targets", x => x with { Targets = [.. Enumerable.Range(0, B).Select(i => i / 2)] }, "targets"),
        new("ignored rows", x => x with { Targets = [.. Enumerable.Range(0, B).Select(i => i == 3 ? -100 : i)] }, "targets"),
        new("row weights", x => x with { RowWeights = [.. Enumerable.Range(1, B).Select(i => (float)i)] }),
        new("label smoothing", x => x with { Options = x.Options with { LabelSmoothing = 0.1f } }),
        new("false negatives", x => x with { Options = x.Options with { FalseNegativeMargin = 0.1f } }),
        new("extra negatives", x => x with { Extra = TestData.Normal(DType.Float32, 4 * E, 9) }),
        new("prefixes E, E/2", x => x with { Options = x.Options with { Prefixes = [new(E, 1), new(E / 2, 1)] } }),
        new("captions locked", x => x with { LockCaptions = true }),
        new("images locked", x => x with { LockImages = true }),
        new("raw products", x => x with { Options = x.Options with { Normalize = false } }),
        new("similarities kept", x => x with { Options = x.Options with { MemoryBudgetBytes = 64 << 20 } }),
        new("more images", WithMoreImages),
        new("clamped scale", x => x with { Options = x.Options with { MaxScale = 2 } }),
    ];

    [Fact]
    public void TheDocumentedTableIsWhatTheCodeDoes()
    {
        string table = Table();
        string text = File.ReadAllText(DocumentPath());
        int start = text.IndexOf(Begin, StringComparison.Ordinal) + Begin.Length;
        int end = text.IndexOf(End, StringComparison.Ordinal);
        Assert.True(start >= Begin.Length && end > start, "docs/loss.md has no place for the table.");
        Assert.True(
            text[start..end].Trim() == table.Trim(), "docs/loss.md is not what the code does; between its marks must stand:" + Environment.NewLine + table);
    }

    private static string Table()
    {
        using CpuBackend backend = new();
        List<string> refusals = [];
        StringBuilder table = new();
        table.Append("| | alone |");
        for (int i = 1; i <= s_features.Length; i++)
        {
            table.Append(CultureInfo.InvariantCulture, $" {i} |");
        }

        table.Append('\n').Append("| --- | --- |").Append(string.Concat(Enumerable.Repeat(" --- |", s_features.Length))).Append('\n');
        for (int i = 0; i < s_features.Length; i++)
        {
            table.Append(CultureInfo.InvariantCulture, $"| {i + 1}. {s_features[i].Name} | {Cell(backend, s_features[i], null, refusals)} |");
            for (int j = 0; j < s_features.Length; j++)
            {
                bool same = i == j || (s_features[i].Excludes.Length > 0 && s_features[i].Excludes == s_features[j].Excludes);
                table.Append(CultureInfo.InvariantCulture, $" {(same ? "" : Cell(backend, s_features[Math.Min(i, j)], s_features[Math.Max(i, j)], refusals))} |");
            }

            table.Append('\n');
        }

        table.Append('\n');
        for (int i = 0; i < refusals.Count; i++)
        {
            table.Append(CultureInfo.InvariantCulture, $"- {Letter(i)}: {refusals[i]}\n");
        }

        return table.ToString();
    }

    /// <summary>The number of products of 2 B K E that forward and backward took, or the letter of the message that refused them.</summary>
    private static string Cell(CpuBackend backend, Feature first, Feature? second, List<string> refusals)
    {
        SimilarityCrossEntropyOptions options = new() { MemoryBudgetBytes = (16 << 20) + (300 << 10) };
        SimilarityCrossEntropyCase x = SimilarityCrossEntropyCase.Seeded(options, B, B, E, 1);
        x = first.Apply(x);
        x = second is null ? x : second.Apply(x);
        try
        {
            // Planned for more rows than there are, so that the small budget does not keep the similarities.
            using SimilarityCrossEntropyWorkspace workspace = new(backend.Device, x.Options, 600, 600, E, x.X);
            x.Run(backend, workspace, out _);
            double products = workspace.OperationCount / (2.0 * x.B * (x.K + x.X) * E);
            return products.ToString("0.##", CultureInfo.InvariantCulture);
        }
        catch (ArgumentException e)
        {
            string message = e.Message.Split(" (Parameter")[0];
            if (!refusals.Contains(message))
            {
                refusals.Add(message);
            }

            return Letter(refusals.IndexOf(message));
        }
    }

    private static SimilarityCrossEntropyCase Grouped(SimilarityCrossEntropyCase x, SimilarityCrossEntropyGroups groups)
    {
        int[] ids = [.. Enumerable.Range(0, B).Select(i => i / 3)];
        return x with { Options = x.Options with { Groups = groups }, CaptionGroups = ids, ImageGroups = ids };
    }

    // K = B + 5: the added images are nobody's positives but those of the last group.
    private static SimilarityCrossEntropyCase WithMoreImages(SimilarityCrossEntropyCase x) => x with
    {
        K = B + 5,
        Images = [.. x.Images, .. TestData.Normal(DType.Float32, 5 * E, 10)],
        ImageGroups = x.ImageGroups is null ? null : [.. x.ImageGroups, .. Enumerable.Repeat(x.ImageGroups[^1], 5)],
    };

    private static string Letter(int index) => ((char)('a' + index)).ToString();

    private static string DocumentPath()
    {
        // A build for CI stamps no path of the machine into the assembly, so the checkout is found from where the test runs.
        DirectoryInfo? folder = new(AppContext.BaseDirectory);
        while (folder is not null && !File.Exists(Path.Combine(folder.FullName, "CrossAlign.sln")))
        {
            folder = folder.Parent;
        }

        Assert.True(folder is not null, "The test does not run inside the checkout.");
        return Path.Combine(folder.FullName, "docs", "loss.md");
    }
}
