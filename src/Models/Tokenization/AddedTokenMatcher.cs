using System.Buffers;
using System.Text;

namespace CrossAlign.Models.Tokenization;

/// <summary>Finds added tokens in a text: the leftmost first, of those at one place the longest.</summary>
internal sealed class AddedTokenMatcher
{
    private readonly Dictionary<char, List<(string Spelling, AddedToken Token)>> _byFirst = [];
    private readonly SearchValues<char> _first;

    /// <summary>Makes a matcher.</summary>
    /// <param name="tokens">The tokens, each with the spelling to look for; empty spellings are passed over.</param>
    public AddedTokenMatcher(IEnumerable<(string Spelling, AddedToken Token)> tokens)
    {
        foreach ((string spelling, AddedToken token) in tokens)
        {
            if (spelling.Length == 0)
            {
                continue;
            }

            if (!_byFirst.TryGetValue(spelling[0], out List<(string Spelling, AddedToken Token)>? list))
            {
                _byFirst[spelling[0]] = list = [];
            }

            list.Add((spelling, token));
        }

        foreach (List<(string Spelling, AddedToken Token)> list in _byFirst.Values)
        {
            list.Sort((x, y) => y.Spelling.Length.CompareTo(x.Spelling.Length));
        }

        _first = SearchValues.Create([.. _byFirst.Keys]);
    }

    /// <summary>Finds the next added token.</summary>
    /// <param name="text">The text.</param>
    /// <param name="from">Where to begin; what lies before it was given out.</param>
    /// <param name="start">Where the token, with the white space that it swallows, begins.</param>
    /// <param name="end">Where it ends.</param>
    /// <returns>The token, or null where there is none.</returns>
    public AddedToken? Find(ReadOnlySpan<char> text, int from, out int start, out int end)
    {
        int at = from;
        while (at < text.Length)
        {
            int hit = text[at..].IndexOfAny(_first);
            if (hit < 0)
            {
                break;
            }

            at += hit;
            foreach ((string spelling, AddedToken token) in _byFirst[text[at]])
            {
                if (!text[at..].StartsWith(spelling, StringComparison.Ordinal))
                {
                    continue;
                }

                start = at;
                end = at + spelling.Length;
                if (token.SingleWord && !StandsAlone(text, start, end))
                {
                    // The longest one counts, whether it is taken or not.
                    at = end - 1;
                    break;
                }

                while (token.StripLeft && start > from && char.IsWhiteSpace(text[start - 1]))
                {
                    start--;
                }

                while (token.StripRight && end < text.Length && char.IsWhiteSpace(text[end]))
                {
                    end++;
                }

                return token;
            }

            at++;
        }

        start = end = text.Length;
        return null;
    }

    private static bool StandsAlone(ReadOnlySpan<char> text, int start, int end)
    {
        Rune.DecodeLastFromUtf16(text[..start], out Rune before, out _);
        Rune.DecodeFromUtf16(text[end..], out Rune after, out _);
        return (start == 0 || !IsWordPart(before)) && (end == text.Length || !IsWordPart(after));
    }

    private static bool IsWordPart(Rune rune) => Rune.IsLetterOrDigit(rune) || rune.Value == '_'
        || Rune.GetUnicodeCategory(rune) is System.Globalization.UnicodeCategory.NonSpacingMark
            or System.Globalization.UnicodeCategory.SpacingCombiningMark or System.Globalization.UnicodeCategory.EnclosingMark
            or System.Globalization.UnicodeCategory.ConnectorPunctuation;
}
