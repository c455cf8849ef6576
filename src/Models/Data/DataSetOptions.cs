namespace CrossAlign.Models.Data;

/// <summary>What is wanted of a data set, whichever it is.</summary>
public sealed record DataSetOptions
{
    /// <summary>The languages to load, in this order; empty = the data set's own default.</summary>
    public IReadOnlyList<string> Languages { get; init; } = [];

    /// <summary>Height and width of the pictures in pixels.</summary>
    public int PictureSize { get; init; } = 32;

    /// <summary>The prefix hashed before an identifier to find its split.</summary>
    public string SplitSalt { get; init; } = ConceptHash.DefaultSplitSalt;
}
