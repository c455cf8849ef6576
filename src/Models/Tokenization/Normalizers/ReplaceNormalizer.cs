using System.Text.RegularExpressions;

namespace CrossAlign.Models.Tokenization.Normalizers;

/// <summary>Puts a text in the place of every match of a pattern.</summary>
/// <param name="pattern">The pattern.</param>
/// <param name="content">The text, taken literally.</param>
internal sealed class ReplaceNormalizer(Regex pattern, string content) : TextNormalizer
{
    /// <inheritdoc/>
    public override void Normalize(ReadOnlySpan<char> text, CharBuffer output)
    {
        int start = 0;
        foreach (ValueMatch match in pattern.EnumerateMatches(text))
        {
            output.Append(text[start..match.Index]);
            output.Append(content);
            start = match.Index + match.Length;
        }

        output.Append(text[start..]);
    }
}
