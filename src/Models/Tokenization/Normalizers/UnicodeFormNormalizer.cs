using System.Text;

namespace CrossAlign.Models.Tokenization.Normalizers;

/// <summary>One of the Unicode normalisation forms.</summary>
/// <param name="form">Which.</param>
internal sealed class UnicodeFormNormalizer(NormalizationForm form) : TextNormalizer
{
    // .NET refuses this noncharacter, which normalises to itself and joins nothing.
    private const char Refused = '\uFFFE';

    /// <inheritdoc/>
    public override void Normalize(ReadOnlySpan<char> text, CharBuffer output)
    {
        while (true)
        {
            int at = text.IndexOf(Refused);
            NormalizePart(at < 0 ? text : text[..at], output);
            if (at < 0)
            {
                return;
            }

            output.Append(Refused);
            text = text[(at + 1)..];
        }
    }

    private void NormalizePart(ReadOnlySpan<char> text, CharBuffer output)
    {
        if (Ascii.IsValid(text))
        {
            output.Append(text);
            return;
        }

        try
        {
            output.Append(text.ToString().Normalize(form));
        }
        catch (ArgumentException e)
        {
            throw new UserErrorException("a text is not well-formed Unicode: half of a surrogate pair", "read the text as UTF-8, or mend the text", e);
        }
    }
}
