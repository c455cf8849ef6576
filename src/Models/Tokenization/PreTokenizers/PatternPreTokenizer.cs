using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;

namespace CrossAlign.Models.Tokenization.PreTokenizers;

/// <summary>Cuts a text at the matches of a pattern.</summary>
/// <param name="pattern">The pattern.</param>
/// <param name="keepMatches">Whether the matches are parts, too; otherwise they are dropped.</param>
/// <param name="keepGaps">Whether what lies between the matches are parts.</param>
internal sealed partial class PatternPreTokenizer(Regex pattern, bool keepMatches, bool keepGaps) : PreTokenizer
{
    /// <summary>The cuts of GPT-2: letters, numbers and other characters apart, a space with what follows it.</summary>
    public static PatternPreTokenizer Gpt2 { get; } = new(Gpt2Pattern(), keepMatches: true, keepGaps: true);

    /// <inheritdoc/>
    public override void Split(ReadOnlySpan<char> text, bool atStart, in WordChain next)
    {
        ReadOnlySpan<char> matched = text;
        if (text.IndexOfAnyInRange('\uD800', '\uDFFF') >= 0)
        {
            CharBuffer buffer = next.Buffer;
            AppendShadow(text, buffer);
            matched = buffer.Written;
        }

        int given = 0;
        foreach (ValueMatch match in pattern.EnumerateMatches(matched))
        {
            int start = Math.Max(given, WholeCharacter(text, match.Index));
            int end = Math.Max(start, WholeCharacter(text, match.Index + match.Length));
            if (keepGaps)
            {
                next.Accept(text[given..start], atStart && given == 0);
            }

            if (keepMatches)
            {
                next.Accept(text[start..end], atStart && start == 0);
            }

            given = end;
        }

        if (keepGaps)
        {
            next.Accept(text[given..], atStart && given == 0);
        }
    }

    /// <summary>Moves a place between the halves of a surrogate pair behind it.</summary>
    private static int WholeCharacter(ReadOnlySpan<char> text, int at) =>
        at > 0 && at < text.Length && char.IsLowSurrogate(text[at]) && char.IsHighSurrogate(text[at - 1]) ? at + 1 : at;

    /// <summary>
    /// The text with every character beyond the basic plane written as two of the same class: .NET's patterns take the halves of a
    /// surrogate pair for neither letters nor numbers, the published library takes the character for what it is.
    /// </summary>
    private static void AppendShadow(ReadOnlySpan<char> text, CharBuffer output)
    {
        while (!text.IsEmpty)
        {
            Rune.DecodeFromUtf16(text, out Rune rune, out int units);
            if (units == 1)
            {
                output.Append(text[0]);
            }
            else
            {
                char likeness = Rune.GetUnicodeCategory(rune) switch
                {
                    UnicodeCategory.UppercaseLetter or UnicodeCategory.LowercaseLetter or UnicodeCategory.TitlecaseLetter
                        or UnicodeCategory.ModifierLetter or UnicodeCategory.OtherLetter => '\uA4D0',
                    UnicodeCategory.DecimalDigitNumber => '\u0661',
                    UnicodeCategory.LetterNumber or UnicodeCategory.OtherNumber => '\u2153',
                    UnicodeCategory.NonSpacingMark or UnicodeCategory.SpacingCombiningMark or UnicodeCategory.EnclosingMark => '\u0489',
                    _ => '\u2E30',
                };
                output.Append(likeness);
                output.Append(likeness);
            }

            text = text[units..];
        }
    }

    [GeneratedRegex(@"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+", RegexOptions.CultureInvariant)]
    private static partial Regex Gpt2Pattern();
}
