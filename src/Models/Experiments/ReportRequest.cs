using CrossAlign.Models.Data;
using CrossAlign.Models.Training.Configuration;
using CrossAlign.Runtime;

namespace CrossAlign.Models.Experiments;

/// <summary>Which finished runs to set side by side.</summary>
public sealed record ReportRequest
{
    /// <summary>The runs' folders in the order in which they are shown, each with what the figures are to call it; null for a name from its configuration.</summary>
    public required IReadOnlyList<(string Folder, string? Name)> Runs { get; init; }

    /// <summary>Opens the data set of a configuration by options: languages, picture size, split.</summary>
    public required Func<RunConfig, DataSetOptions, CaptionedPictures> OpenData { get; init; }

    /// <summary>The languages that every run is measured in; empty for all that any of them was trained on.</summary>
    public IReadOnlyList<string> Languages { get; init; } = [];

    /// <summary>The declarations; null where they are not there.</summary>
    public UdhrCorpus? Udhr { get; init; }

    /// <summary>Where to compute.</summary>
    public required Device Device { get; init; }

    /// <summary>Where <c>report.json</c> and <c>report.html</c> go.</summary>
    public required string Folder { get; init; }
}
