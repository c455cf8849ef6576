using System.Globalization;
using System.Text.Json;
using CrossAlign.Models.Data.Album;

namespace CrossAlign.Models.Data;

/// <summary>
/// The Universal Declaration of Human Rights in many languages, paragraph by paragraph: text of another kind than the captions, to
/// see how far an alignment carries.
/// </summary>
public sealed class UdhrCorpus
{
    private readonly Dictionary<string, IReadOnlyDictionary<int, string[]>> _articles;

    private UdhrCorpus(Dictionary<string, IReadOnlyDictionary<int, string[]>> articles) => _articles = articles;

    /// <summary>The languages it is there in.</summary>
    public IReadOnlyList<string> Languages => [.. _articles.Keys];

    /// <summary>Reads the declarations that came with the photo album.</summary>
    /// <param name="cache">The value of <c>--cache</c>, or null.</param>
    /// <returns>The corpus.</returns>
    /// <exception cref="UserErrorException">The album is not prepared or is damaged.</exception>
    public static UdhrCorpus Load(string? cache = null) => Read(Path.Combine(PhotoAlbum.Folder(cache), AlbumBuilder.DeclarationsFile));

    /// <summary>The pairs of paragraphs that say the same in two languages: those of articles with the same number of paragraphs in both.</summary>
    /// <param name="first">A language.</param>
    /// <param name="second">Another.</param>
    /// <returns>Normalised paragraphs in the order of the declaration.</returns>
    /// <exception cref="UserErrorException">The corpus lacks a language.</exception>
    public IReadOnlyList<(string First, string Second)> Pairs(string first, string second)
    {
        IReadOnlyDictionary<int, string[]> a = Articles(first);
        IReadOnlyDictionary<int, string[]> b = Articles(second);
        return [.. a
            .Where(article => b.TryGetValue(article.Key, out string[]? other) && other.Length == article.Value.Length)
            .OrderBy(static article => article.Key)
            .SelectMany(article => article.Value.Zip(b[article.Key]))
            .Where(static pair => pair.First.Length > 0 && pair.Second.Length > 0)];
    }

    /// <summary>Reads a file of declarations.</summary>
    /// <param name="path">The file: a language a line.</param>
    /// <returns>The corpus.</returns>
    internal static UdhrCorpus Read(string path)
    {
        try
        {
            Dictionary<string, IReadOnlyDictionary<int, string[]>> languages = new(StringComparer.Ordinal);
            foreach (JsonElement line in AlbumReader.Lines(path))
            {
                languages[line.GetProperty("language").GetString()!] = line.GetProperty("articles").EnumerateObject().ToDictionary(
                    static a => int.Parse(a.Name, CultureInfo.InvariantCulture),
                    static a => a.Value.EnumerateArray().Select(static p => CaptionText.Normalize(p.GetString()!)).ToArray());
            }

            return new(languages);
        }
        catch (Exception e) when (e is IOException or JsonException or UnauthorizedAccessException)
        {
            throw new UserErrorException($"the declarations in '{path}' could not be read: {e.Message}", "run 'crossalign data photo-album'", e);
        }
    }

    private IReadOnlyDictionary<int, string[]> Articles(string language) => _articles.TryGetValue(language, out IReadOnlyDictionary<int, string[]>? articles)
        ? articles
        : throw new UserErrorException($"there is no Declaration of Human Rights for language '{language}'", $"choose from {string.Join(", ", _articles.Keys)}");
}
