using CrossAlign.Models.Data;

namespace CrossAlign.Models.Evaluation.Report;

/// <summary>Everything that <c>report.html</c> shows. The page adds words and layout, and no figure of its own.</summary>
public sealed record ReportModel
{
    /// <summary>The figures, the speeds and the run.</summary>
    public required FigureReport Figures { get; init; }

    /// <summary>The set-ups in the order in which they are compared.</summary>
    public required IReadOnlyList<ReportSetup> Setups { get; init; }

    /// <summary>The languages in the order of the columns, the pivot among them.</summary>
    public required IReadOnlyList<ReportLanguage> Languages { get; init; }

    /// <summary>The language that the others are paired with.</summary>
    public string Pivot { get; init; } = "en";

    /// <summary>What a reader must know before the figures (a quick run, a data set that stands in), each a sentence.</summary>
    public IReadOnlyList<string> Notices { get; init; } = [];

    /// <summary>Learning curves, one a run.</summary>
    public IReadOnlyList<LearningCurve> Curves { get; init; } = [];

    /// <summary>Maps of captions, one a set-up.</summary>
    public IReadOnlyList<CaptionMap> Maps { get; init; } = [];

    /// <summary>Pictures with the nearest caption in each language, right and wrong ones alike.</summary>
    public IReadOnlyList<PicturePanel> Panels { get; init; } = [];

    /// <summary>Settings of the runs, name and value.</summary>
    public IReadOnlyList<KeyValuePair<string, string>> Configuration { get; init; } = [];

    /// <summary>Where the data comes from, with licences.</summary>
    public IReadOnlyList<DataSource> Sources { get; init; } = [];
}
