namespace CrossAlign.Models.Tokenization.Normalizers;

/// <summary>One step of the <c>normalizer</c> of a <c>tokenizer.json</c>.</summary>
internal abstract class TextNormalizer
{
    /// <summary>Rewrites a text.</summary>
    /// <param name="text">The text.</param>
    /// <param name="output">Appended to.</param>
    public abstract void Normalize(ReadOnlySpan<char> text, CharBuffer output);
}
