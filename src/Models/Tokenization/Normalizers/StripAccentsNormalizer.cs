using System.Globalization;
using System.Text;

namespace CrossAlign.Models.Tokenization.Normalizers;

/// <summary>Takes non-spacing marks away; what stands before must have decomposed the text.</summary>
internal sealed class StripAccentsNormalizer : TextNormalizer
{
    /// <inheritdoc/>
    public override void Normalize(ReadOnlySpan<char> text, CharBuffer output)
    {
        while (!text.IsEmpty)
        {
            Rune.DecodeFromUtf16(text, out Rune rune, out int units);
            if (Rune.GetUnicodeCategory(rune) != UnicodeCategory.NonSpacingMark)
            {
                output.Append(text[..units]);
            }

            text = text[units..];
        }
    }
}
