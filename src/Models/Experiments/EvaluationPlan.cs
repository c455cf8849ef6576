using CrossAlign.Models.Data;
using CrossAlign.Models.Evaluation;

namespace CrossAlign.Models.Experiments;

/// <summary>What to measure of a run.</summary>
public sealed record EvaluationPlan
{
    /// <summary>Whether to find translations among names.</summary>
    public bool Bitext { get; init; } = true;

    /// <summary>Whether to find names of pictures and pictures of names.</summary>
    public bool Retrieval { get; init; } = true;

    /// <summary>The sets of concepts.</summary>
    public IReadOnlyList<ConceptSet> Sets { get; init; } = ConceptSetNames.Reported;

    /// <summary>Whether to find translations among the paragraphs of the declaration of human rights.</summary>
    public bool Udhr { get; init; } = true;

    /// <summary>The languages, English among them or not; empty for those of the run.</summary>
    public IReadOnlyList<string> Languages { get; init; } = [];

    /// <summary>The drawing styles of picture retrieval; empty for all.</summary>
    public IReadOnlyList<string> Styles { get; init; } = [];

    /// <summary>The comparisons.</summary>
    public IReadOnlyList<SimilarityScore> Scores { get; init; } =
        [SimilarityScore.Cosine, SimilarityScore.Centred, SimilarityScore.Csls, SimilarityScore.Margin];
}
