namespace CrossAlign.Models.Tokenization.Normalizers;

/// <summary>Lower case, character by character and independent of the culture.</summary>
internal sealed class LowercaseNormalizer : TextNormalizer
{
    /// <inheritdoc/>
    public override void Normalize(ReadOnlySpan<char> text, CharBuffer output)
    {
        // U+0130 is the one character whose lower case is two characters; the span method keeps lengths and leaves it alone.
        int start = 0;
        while (true)
        {
            int dotted = text[start..].IndexOf('\u0130');
            ReadOnlySpan<char> part = dotted < 0 ? text[start..] : text.Slice(start, dotted);
            part.ToLowerInvariant(output.Reserve(part.Length));
            if (dotted < 0)
            {
                return;
            }

            output.Append("i\u0307");
            start += dotted + 1;
        }
    }
}
