namespace CrossAlign.Models.Data;

/// <summary>What training draws of a data set.</summary>
public sealed record SamplingOptions
{
    /// <summary>Codes of the languages whose captions are shown; empty = all of the data set.</summary>
    public IReadOnlyList<string> Languages { get; init; } = [];

    /// <summary>Names of the drawing styles that are shown; empty = all that are not unseen ones.</summary>
    public IReadOnlyList<string> Styles { get; init; } = [];

    /// <summary>Captions drawn for each picture, of different languages where there are enough.</summary>
    public int CaptionsPerPicture { get; init; } = 4;

    /// <summary>Chance that a caption is the short name and not keywords.</summary>
    public float NameProbability { get; init; } = 0.5f;

    /// <summary>A caption of keywords has 1 to so many, in random order.</summary>
    public int KeywordsAtMost { get; init; } = 4;

    /// <summary>
    /// Languages whose captions are dealt out to other concepts (one fixed permutation without a fixed point): an alignment that is
    /// real must vanish for them.
    /// </summary>
    public IReadOnlyList<string> ScrambleCaptions { get; init; } = [];

    /// <summary>
    /// Styles that a language is shown with, by language; one without an entry is shown with all. Disjoint styles make languages share the
    /// thing shown and never a picture.
    /// </summary>
    public IReadOnlyDictionary<string, IReadOnlyList<string>> StylesByLanguage { get; init; } = new Dictionary<string, IReadOnlyList<string>>();

    /// <summary>Whether a batch never holds two concepts of one group, which show the same thing.</summary>
    public bool DistinctGroups { get; init; }

    /// <summary>The run's seed.</summary>
    public ulong Seed { get; init; } = 1;
}
