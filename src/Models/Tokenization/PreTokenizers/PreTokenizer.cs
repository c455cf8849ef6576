namespace CrossAlign.Models.Tokenization.PreTokenizers;

/// <summary>One step of the <c>pre_tokenizer</c> of a <c>tokenizer.json</c>: cuts a text into parts and hands each to the next step.</summary>
internal abstract class PreTokenizer
{
    /// <summary>Cuts a part.</summary>
    /// <param name="text">The part, not empty.</param>
    /// <param name="atStart">Whether it begins where the whole text begins.</param>
    /// <param name="next">Receives the parts in order.</param>
    public abstract void Split(ReadOnlySpan<char> text, bool atStart, in WordChain next);
}
