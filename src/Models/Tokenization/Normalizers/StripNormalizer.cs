namespace CrossAlign.Models.Tokenization.Normalizers;

/// <summary>Takes white space off the ends of a text.</summary>
/// <param name="left">Off its beginning.</param>
/// <param name="right">Off its end.</param>
internal sealed class StripNormalizer(bool left, bool right) : TextNormalizer
{
    /// <inheritdoc/>
    public override void Normalize(ReadOnlySpan<char> text, CharBuffer output)
    {
        if (left)
        {
            text = text.TrimStart();
        }

        output.Append(right ? text.TrimEnd() : text);
    }
}
