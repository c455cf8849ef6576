using CrossAlign.Models.Data;
using CrossAlign.Models.Training.Configuration;
using CrossAlign.Runtime;

namespace CrossAlign.Models.Experiments;

/// <summary>Which set-ups to train and compare, on what.</summary>
public sealed record ComparisonRequest
{
    /// <summary>The configuration of a set-up with a seed.</summary>
    public required Func<string, long, RunConfig> ConfigOf { get; init; }

    /// <summary>The set-ups, in the order in which they are shown.</summary>
    public required IReadOnlyList<string> Setups { get; init; }

    /// <summary>The seeds that each is trained with.</summary>
    public required IReadOnlyList<long> Seeds { get; init; }

    /// <summary>The data set, with captions in every language of <see cref="Languages"/>.</summary>
    public required CaptionedPictures Data { get; init; }

    /// <summary>The languages that every set-up is measured in, whether or not it was trained on them.</summary>
    public required IReadOnlyList<string> Languages { get; init; }

    /// <summary>The declarations; null where they are not there.</summary>
    public UdhrCorpus? Udhr { get; init; }

    /// <summary>Where to compute.</summary>
    public required Device Device { get; init; }

    /// <summary>Where the run folders, <c>report.json</c> and <c>report.html</c> go.</summary>
    public required string Folder { get; init; }

    /// <summary>What a reader must know before the figures, each a sentence.</summary>
    public IReadOnlyList<string> Notices { get; init; } = [];
}
