using System.Text;

namespace CrossAlign.Models.Tokenization.Normalizers;

/// <summary>One of the Unicode normalisation forms.</summary>
/// <param name="form">Which.</param>
internal sealed class UnicodeFormNormalizer(NormalizationForm form) : TextNormalizer
{
    /// <inheritdoc/>
    public override void Normalize(ReadOnlySpan<char> text, CharBuffer output)
    {
        if (System.Text.Ascii.IsValid(text))
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
            throw new UserErrorException("a text is not well-formed Unicode", "read the text as UTF-8, or mend the text", e);
        }
    }
}
