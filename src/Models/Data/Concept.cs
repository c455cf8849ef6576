namespace CrossAlign.Models.Data;

/// <summary>One thing that is shown and named: an emoji of the album, a drawn scene, a photograph of the user's.</summary>
public sealed class Concept
{
    private readonly ConceptCaptions?[] _captions;

    /// <summary>Makes a concept.</summary>
    /// <param name="id">Its identifier, unique in the data set.</param>
    /// <param name="split">Its split.</param>
    /// <param name="nameHeldOut">Whether its short name is shown in no language during training.</param>
    /// <param name="captions">Its captions, one entry for each language of the data set in that order; null where there are none.</param>
    /// <param name="group">Concepts with the same group show the same thing; -1 = a group of its own.</param>
    /// <param name="category">The top group it belongs to, or empty.</param>
    /// <param name="subcategory">The subgroup it belongs to, or empty.</param>
    /// <param name="symbol">What to print for it beside its name (the emoji itself), or empty.</param>
    /// <param name="englishName">Its normalised English name, whether or not English is among the languages; null where there is none.</param>
    /// <param name="spanishName">Its normalised Spanish name, likewise.</param>
    public Concept(
        string id,
        DataSplit split,
        bool nameHeldOut,
        ConceptCaptions?[] captions,
        int group = -1,
        string category = "",
        string subcategory = "",
        string symbol = "",
        string? englishName = null,
        string? spanishName = null)
    {
        ArgumentException.ThrowIfNullOrEmpty(id);
        ArgumentNullException.ThrowIfNull(captions);
        Id = id;
        Split = split;
        NameHeldOut = nameHeldOut && split == DataSplit.Train;
        Group = group;
        Category = category;
        Subcategory = subcategory;
        Symbol = symbol;
        EnglishName = englishName;
        SpanishName = spanishName;
        _captions = captions;
    }

    /// <summary>Its identifier, unique in the data set.</summary>
    public string Id { get; }

    /// <summary>Its split.</summary>
    public DataSplit Split { get; }

    /// <summary>Whether it is a train concept whose short name is shown in no language during training.</summary>
    public bool NameHeldOut { get; }

    /// <summary>Concepts with the same group show the same thing; -1 = a group of its own.</summary>
    public int Group { get; }

    /// <summary>The top group it belongs to, or empty.</summary>
    public string Category { get; }

    /// <summary>The subgroup it belongs to, or empty.</summary>
    public string Subcategory { get; }

    /// <summary>What to print for it beside its name (the emoji itself), or empty.</summary>
    public string Symbol { get; }

    /// <summary>Its normalised English name, whether or not English is among the languages: queries are strict or not by it.</summary>
    public string? EnglishName { get; }

    /// <summary>Its normalised Spanish name, likewise.</summary>
    public string? SpanishName { get; }

    /// <summary>The set that its figures are reported on.</summary>
    public ConceptSet Set => Split switch
    {
        DataSplit.Validation => ConceptSet.Validation,
        DataSplit.Test => ConceptSet.Unseen,
        _ => NameHeldOut ? ConceptSet.HeldOutCaptions : ConceptSet.Seen,
    };

    /// <summary>Its captions in a language.</summary>
    /// <param name="language">Index in the data set's languages.</param>
    /// <returns>The captions, or null where there are none.</returns>
    public ConceptCaptions? CaptionsIn(int language) => _captions[language];
}
