namespace CrossAlign.Models.Data;

/// <summary>
/// What one language says of one concept. Either a short name with keywords (the album, the shapes) or a list of sentences that
/// each describe the whole picture (a folder of the user's own).
/// </summary>
/// <param name="Name">The normalised name, or the first sentence; empty where the language has only keywords.</param>
/// <param name="Display">The name as it was written, for people to read.</param>
/// <param name="Keywords">Normalised keywords: parts of a description, several of which are shown together.</param>
/// <param name="OtherCaptions">Further sentences beside <paramref name="Name"/>, each a whole description that is shown alone.</param>
public sealed record ConceptCaptions(string Name, string Display, IReadOnlyList<string> Keywords, IReadOnlyList<string> OtherCaptions)
{
    /// <summary>A short name with keywords, normalised here.</summary>
    /// <param name="name">The name as written, or empty.</param>
    /// <param name="keywords">The keywords as written.</param>
    /// <returns>The captions.</returns>
    /// <exception cref="UserErrorException">As <see cref="CaptionText.Normalize"/>.</exception>
    public static ConceptCaptions FromNameAndKeywords(string name, IEnumerable<string> keywords)
    {
        string normalized = CaptionText.Normalize(name);
        return new(normalized, name, CaptionText.Keywords(keywords, normalized), []);
    }

    /// <summary>Whether there is a name.</summary>
    public bool HasName => Name.Length > 0;
}
