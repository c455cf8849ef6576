using System.Globalization;
using System.Text;

namespace CrossAlign.Models.Data;

/// <summary>
/// What counts as the same text: normalisation of captions, their words, and the rules that tell a query which could be answered by
/// comparing letters from one that needs the meaning.
/// </summary>
public static class CaptionText
{
    /// <summary>The characters that become spaces.</summary>
    internal const string Separators = "“”\"„«»:,;()¡!¿?。、|.";

    private static readonly Lazy<bool> s_normalizes = new(static () => "\uFB01".Normalize(NormalizationForm.FormKC) == "fi");

    /// <summary>
    /// Normalises a caption: NFKC, lower case (invariant), each of <c>“”"„«»:,;()¡!¿?。、|.</c> to a space, runs of white space to
    /// one space, trimmed.
    /// </summary>
    /// <param name="text">A caption.</param>
    /// <returns>The normalised caption; applying it again changes nothing but for the rare letter whose lower case is not in NFKC.</returns>
    /// <exception cref="UserErrorException">The program runs in globalization-invariant mode, where NFKC silently does nothing, or
    /// <paramref name="text"/> holds half a surrogate pair.</exception>
    public static string Normalize(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        RequireUnicodeNormalization();
        string folded;
        try
        {
            folded = text.Normalize(NormalizationForm.FormKC).ToLowerInvariant();
        }
        catch (ArgumentException e)
        {
            throw new UserErrorException($"a caption is not valid Unicode: half a surrogate pair in {Escape(text)}", "correct the text", e);
        }

        StringBuilder result = new(folded.Length);
        bool gap = false;
        foreach (char c in folded)
        {
            if (char.IsWhiteSpace(c) || Separators.Contains(c, StringComparison.Ordinal))
            {
                gap = result.Length > 0;
                continue;
            }

            if (gap)
            {
                result.Append(' ');
                gap = false;
            }

            result.Append(c);
        }

        return result.ToString();
    }

    /// <summary>Maps the apostrophes U+2019 and U+02BC to U+0027: Quechua's ejectives come with either.</summary>
    /// <param name="text">A caption.</param>
    /// <returns>The caption with one kind of apostrophe.</returns>
    public static string UnifyApostrophes(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        return text.Replace('\u2019', '\'').Replace('\u02BC', '\'');
    }

    /// <summary>The words of a normalised caption: what white space separates.</summary>
    /// <param name="normalized">The result of <see cref="Normalize"/>.</param>
    /// <returns>Its words in order; none for an empty caption.</returns>
    public static string[] Words(string normalized)
    {
        ArgumentNullException.ThrowIfNull(normalized);
        return normalized.Split(' ', StringSplitOptions.RemoveEmptyEntries);
    }

    /// <summary>A concept's keywords: each entry normalised, in order, without empty ones, repeats and any equal to the name.</summary>
    /// <param name="entries">The entries as written.</param>
    /// <param name="normalizedName">The concept's normalised name, or empty.</param>
    /// <returns>The keywords.</returns>
    public static string[] Keywords(IEnumerable<string> entries, string normalizedName)
    {
        ArgumentNullException.ThrowIfNull(entries);
        HashSet<string> met = new(StringComparer.Ordinal) { string.Empty, normalizedName };
        List<string> keywords = [];
        foreach (string entry in entries)
        {
            string keyword = Normalize(entry);
            if (met.Add(keyword))
            {
                keywords.Add(keyword);
            }
        }

        return [.. keywords];
    }

    /// <summary>Whether a query cannot be answered by looking for the same string.</summary>
    /// <param name="normalizedName">The name in the query's language.</param>
    /// <param name="normalizedEnglish">The English name.</param>
    /// <returns>True where they differ.</returns>
    public static bool IsNotIdentical(string normalizedName, string normalizedEnglish) => !string.Equals(normalizedName, normalizedEnglish, StringComparison.Ordinal);

    /// <summary>
    /// Whether a query is strict: its words share none with the English name's and, unless it is Spanish, none with the Spanish name's.
    /// </summary>
    /// <param name="language">The query's language.</param>
    /// <param name="normalizedName">The name in that language.</param>
    /// <param name="normalizedEnglish">The English name, or null where there is none.</param>
    /// <param name="normalizedSpanish">The Spanish name, or null where there is none.</param>
    /// <returns>True for a strict query.</returns>
    public static bool IsStrict(string language, string normalizedName, string? normalizedEnglish, string? normalizedSpanish)
    {
        HashSet<string> words = [.. Words(normalizedName)];
        if (normalizedEnglish is not null && words.Overlaps(Words(normalizedEnglish)))
        {
            return false;
        }

        bool isSpanish = language == "es" || language.StartsWith("es-", StringComparison.Ordinal);
        return isSpanish || normalizedSpanish is null || !words.Overlaps(Words(normalizedSpanish));
    }

    /// <summary>Refuses to go on where Unicode normalisation does not work.</summary>
    /// <exception cref="UserErrorException">The program runs in globalization-invariant mode or without ICU.</exception>
    public static void RequireUnicodeNormalization()
    {
        if (!s_normalizes.Value)
        {
            throw new UserErrorException(
                "this program runs in globalization-invariant mode, where Unicode normalisation silently does nothing",
                "install ICU (Debian: apt install libicu-dev) and unset DOTNET_SYSTEM_GLOBALIZATION_INVARIANT");
        }
    }

    private static string Escape(string text)
    {
        StringBuilder result = new("\"");
        foreach (char c in text.Length > 40 ? text[..40] : text)
        {
            result.Append(char.IsSurrogate(c) || char.IsControl(c) ? string.Create(CultureInfo.InvariantCulture, $"\\u{(int)c:x4}") : c);
        }

        return result.Append('"').ToString();
    }
}
