namespace CrossAlign.Models.Tokenization.PreTokenizers;

/// <summary>Takes the words that the pre-tokenizers cut.</summary>
internal interface IWordSink
{
    /// <summary>Takes a word.</summary>
    /// <param name="word">The word, never empty; valid during the call.</param>
    /// <param name="state">The ids and the buffers.</param>
    void Accept(ReadOnlySpan<char> word, EncodingState state);
}
