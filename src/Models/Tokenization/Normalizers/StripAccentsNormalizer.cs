using System.Text;

namespace CrossAlign.Models.Tokenization.Normalizers;

/// <summary>Takes marks away; what stands before must have decomposed the text.</summary>
/// <param name="anyMark">Whether marks of every kind go, as with the normalizer of that name, or those that take no room, as with BERT's.</param>
internal sealed class StripAccentsNormalizer(bool anyMark) : TextNormalizer
{
    /// <inheritdoc/>
    public override void Normalize(ReadOnlySpan<char> text, CharBuffer output)
    {
        while (!text.IsEmpty)
        {
            Rune.DecodeFromUtf16(text, out Rune rune, out int units);
            if (!(anyMark ? PublishedCategories.IsMark(rune) : PublishedCategories.IsNonSpacingMark(rune)))
            {
                output.Append(text[..units]);
            }

            text = text[units..];
        }
    }
}
