using System.Globalization;
using System.Text;
using System.Text.Json;

namespace CrossAlign.Models.Data.Album;

/// <summary>One concept of the album before it has pictures.</summary>
/// <param name="Id">Lower-case code points joined by "-", as the package writes them (with FE0F).</param>
/// <param name="Symbol">The emoji itself.</param>
/// <param name="Category">Top group.</param>
/// <param name="Subcategory">Unicode subgroup.</param>
/// <param name="UnicodeName">Unicode's name, by which some icon sets call it.</param>
/// <param name="ShortNames">Names in chat programs, likewise.</param>
internal sealed record EmojiEntry(string Id, string Symbol, string Category, string Subcategory, string UnicodeName, IReadOnlyList<string> ShortNames)
{
    /// <summary>The emoji as CLDR's annotations are keyed: without the variation selector U+FE0F.</summary>
    internal string AnnotationKey => Symbol.Replace("\uFE0F", string.Empty, StringComparison.Ordinal);

    /// <summary>The code points without FE0F, as icon sets are matched.</summary>
    internal string Code => EmojiList.WithoutVariationSelector(Id);
}

/// <summary>
/// Reads the emoji that <c>emoji-datasource-google</c> lists and keeps those that make a concept: no flags, skin tone swatches, keycaps,
/// none that CLDR names in its derived file only, the first of each family (woman, man and person doing the same) and no family sequence.
/// </summary>
internal static class EmojiList
{
    /// <summary>Reads and filters the list.</summary>
    /// <param name="path">The package's <c>emoji.json</c>.</param>
    /// <param name="isNamed">Whether CLDR's English annotations name an emoji (given without U+FE0F).</param>
    /// <returns>The concepts in the package's sort order.</returns>
    /// <exception cref="UserErrorException">The file cannot be read.</exception>
    internal static IReadOnlyList<EmojiEntry> Read(string path, Func<string, bool> isNamed)
    {
        List<(int Order, EmojiEntry Entry)> all = [];
        using (JsonDocument document = AlbumJson.Open(path))
        {
            foreach (JsonElement element in document.RootElement.EnumerateArray())
            {
                string id = element.GetProperty("unified").GetString()!.ToLowerInvariant();
                all.Add((
                    element.GetProperty("sort_order").GetInt32(),
                    new(
                        id,
                        Symbol(id),
                        element.GetProperty("category").GetString()!,
                        element.GetProperty("subcategory").GetString()!,
                        element.GetProperty("name").GetString() ?? string.Empty,
                        [.. element.GetProperty("short_names").EnumerateArray().Select(static n => n.GetString()!)])));
            }
        }

        HashSet<string> families = [];
        List<EmojiEntry> kept = [];
        foreach ((_, EmojiEntry entry) in all.OrderBy(static e => e.Order))
        {
            bool isConcept = entry.Category is not ("Flags" or "Component") && entry.Subcategory != "keycap" && isNamed(entry.AnnotationKey);
            if (isConcept && families.Add(FamilyOf(entry.Id)) && !IsFamilySequence(entry))
            {
                kept.Add(entry);
            }
        }

        return kept;
    }

    /// <summary>
    /// What a woman, a man and a person doing the same have in common: the code points without FE0F, skin tones, sign of the sex and
    /// direction, man and woman mapped to person.
    /// </summary>
    internal static string FamilyOf(string id)
    {
        List<string> points = [];
        foreach (string point in id.Split('-'))
        {
            if (point == "fe0f" || point is "1f3fb" or "1f3fc" or "1f3fd" or "1f3fe" or "1f3ff")
            {
                continue;
            }

            if (point is "2640" or "2642" or "27a1" && points.Count > 0 && points[^1] == "200d")
            {
                points.RemoveAt(points.Count - 1);
                continue;
            }

            points.Add(point is "1f468" or "1f469" ? "1f9d1" : point);
        }

        return string.Join('-', points);
    }

    /// <summary>Removes the variation selector from code points joined by "-".</summary>
    internal static string WithoutVariationSelector(string codes) =>
        string.Join('-', codes.ToLowerInvariant().Split('-').Where(static c => c != "fe0f"));

    private static bool IsFamilySequence(EmojiEntry entry) => entry.Subcategory == "family" && entry.Id.Contains("-200d-", StringComparison.Ordinal);

    private static string Symbol(string id)
    {
        StringBuilder symbol = new();
        foreach (string point in id.Split('-'))
        {
            symbol.Append(char.ConvertFromUtf32(int.Parse(point, NumberStyles.HexNumber, CultureInfo.InvariantCulture)));
        }

        return symbol.ToString();
    }
}
