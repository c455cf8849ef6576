namespace CrossAlign.Models.Tokenization.Decoders;

/// <summary>One step of the <c>decoder</c> of a <c>tokenizer.json</c>: from a list of pieces to another, whose sum is the text.</summary>
internal abstract class TokenDecoder
{
    /// <summary>Rewrites the pieces.</summary>
    /// <param name="pieces">The pieces.</param>
    /// <returns>The pieces after this step; may be the same list, changed.</returns>
    public abstract List<string> Decode(List<string> pieces);
}
