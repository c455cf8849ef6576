using System.Globalization;
using System.Text;

namespace CrossAlign.Models.Tokenization.Normalizers;

/// <summary>
/// BERT's clean-up: control characters go, white space becomes a space, Chinese characters stand alone. Accents and upper case are
/// taken by the steps after it.
/// </summary>
/// <param name="cleanText">Whether control characters go and white space becomes a space.</param>
/// <param name="separateChinese">Whether Chinese characters get a space on either side.</param>
internal sealed class BertNormalizer(bool cleanText, bool separateChinese) : TextNormalizer
{
    /// <inheritdoc/>
    public override void Normalize(ReadOnlySpan<char> text, CharBuffer output)
    {
        while (!text.IsEmpty)
        {
            bool sound = Rune.DecodeFromUtf16(text, out Rune rune, out int units) == System.Buffers.OperationStatus.Done;
            ReadOnlySpan<char> character = text[..units];
            text = text[units..];
            if (!sound)
            {
                // Left for the piece model, which names it.
                output.Append(character);
            }
            else if (cleanText && IsDropped(rune))
            {
                continue;
            }
            else if (cleanText && Rune.IsWhiteSpace(rune))
            {
                output.Append(' ');
            }
            else if (separateChinese && IsChinese(rune.Value))
            {
                output.Append(' ');
                output.Append(character);
                output.Append(' ');
            }
            else
            {
                output.Append(character);
            }
        }
    }

    // Unassigned code points stay, as in the published library, which does not know the format characters of after Unicode 8 either.
    private static bool IsDropped(Rune rune) => rune.Value is 0 or 0xFFFD
        || (rune.Value is not '\t' and not '\n' and not '\r' and not 0x890 and not 0x891 and not 0x8E2 and not 0x110CD and not (>= 0x13430 and <= 0x1343F)
            && Rune.GetUnicodeCategory(rune) is UnicodeCategory.Control or UnicodeCategory.Format or UnicodeCategory.PrivateUse);

    // The published library has 2B920 where Unicode's block begins at 2B820.
    private static bool IsChinese(int c) => c is (>= 0x4E00 and <= 0x9FFF) or (>= 0x3400 and <= 0x4DBF) or (>= 0x20000 and <= 0x2A6DF)
        or (>= 0x2A700 and <= 0x2B73F) or (>= 0x2B740 and <= 0x2B81F) or (>= 0x2B920 and <= 0x2CEAF)
        or (>= 0xF900 and <= 0xFAFF) or (>= 0x2F800 and <= 0x2FA1F);
}
