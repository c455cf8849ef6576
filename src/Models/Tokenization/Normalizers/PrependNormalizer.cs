namespace CrossAlign.Models.Tokenization.Normalizers;

/// <summary>Puts a text in front of every text that is not empty.</summary>
/// <param name="content">What to put there.</param>
internal sealed class PrependNormalizer(string content) : TextNormalizer
{
    /// <inheritdoc/>
    public override void Normalize(ReadOnlySpan<char> text, CharBuffer output)
    {
        if (!text.IsEmpty)
        {
            output.Append(content);
            output.Append(text);
        }
    }
}
