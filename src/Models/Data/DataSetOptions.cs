using CrossAlign.Models.Images;

namespace CrossAlign.Models.Data;

/// <summary>What is wanted of a data set, whichever it is.</summary>
public sealed record DataSetOptions
{
    /// <summary>The languages to load, in this order; empty = the data set's own default.</summary>
    public IReadOnlyList<string> Languages { get; init; } = [];

    /// <summary>Height and width of the pictures in pixels.</summary>
    public int PictureSize { get; init; } = 32;

    /// <summary>
    /// How pictures come to that size, as a published tower's folder says (its normalisation apart, which is the tower's input's affair); null for the
    /// data set's own way. Shapes are drawn at their size and need none.
    /// </summary>
    public ImagePreprocessor? Preprocessor { get; init; }

    /// <summary>The prefix hashed before an identifier to find its split.</summary>
    public string SplitSalt { get; init; } = ConceptHash.DefaultSplitSalt;
}
