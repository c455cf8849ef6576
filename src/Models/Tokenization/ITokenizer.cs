namespace CrossAlign.Models.Tokenization;

/// <summary>
/// Text to token ids and back. Ids are in the numbering of the checkpoint (row k of its word embedding). An implementation is
/// deterministic and may be used from several threads at once.
/// </summary>
public interface ITokenizer
{
    /// <summary>What it is, for messages and reports: <c>bpe</c>, <c>unigram</c>, <c>wordpiece</c> or <c>sentencepiece</c>.</summary>
    string Kind { get; }

    /// <summary>One more than the largest id; the number of rows that a word embedding needs.</summary>
    int VocabularySize { get; }

    /// <summary>The ids with a meaning of their own.</summary>
    SpecialTokens SpecialTokens { get; }

    /// <summary>How many tokens are put around a single text (2 for <c>&lt;s&gt; ... &lt;/s&gt;</c>).</summary>
    int AddedTokenCount { get; }

    /// <summary>The name under which published tools look for this kind of file in a model folder.</summary>
    string FileName { get; }

    /// <summary>Appends the ids of a text, with the tokens put around it, to a list.</summary>
    /// <param name="text">The text.</param>
    /// <param name="ids">Appended to.</param>
    /// <param name="maxTokens">The most ids to append, those put around the text included; the text is cut at its end to fit.</param>
    /// <returns>Whether the text was cut.</returns>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="maxTokens"/> is less than <see cref="AddedTokenCount"/>.</exception>
    /// <exception cref="UserErrorException">The text is not well-formed UTF-16 (half of a surrogate pair).</exception>
    bool Encode(ReadOnlySpan<char> text, List<int> ids, int maxTokens = int.MaxValue);

    /// <summary>Like <see cref="Encode"/>, and also gives the pieces; slower, for display and for comparison with other programs.</summary>
    /// <param name="text">The text.</param>
    /// <param name="maxTokens">The most ids, as in <see cref="Encode"/>.</param>
    /// <returns>Ids, pieces, type ids and whether the text was cut.</returns>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="maxTokens"/> is less than <see cref="AddedTokenCount"/>.</exception>
    /// <exception cref="UserErrorException">The text is not well-formed UTF-16.</exception>
    TokenizedText Tokenize(ReadOnlySpan<char> text, int maxTokens = int.MaxValue);

    /// <summary>The ids of a pair of texts (<c>&lt;s&gt; A &lt;/s&gt;&lt;/s&gt; B &lt;/s&gt;</c> for XLM-R).</summary>
    /// <param name="text">The first text.</param>
    /// <param name="pair">The second text.</param>
    /// <returns>Ids, pieces and type ids; nothing is cut.</returns>
    /// <exception cref="UserErrorException">A text is not well-formed UTF-16.</exception>
    TokenizedText TokenizePair(ReadOnlySpan<char> text, ReadOnlySpan<char> pair);

    /// <summary>Puts a text together from ids, as the published library of this kind of file does.</summary>
    /// <param name="ids">The ids.</param>
    /// <param name="skipSpecialTokens">Leave out <c>&lt;s&gt;</c>, <c>&lt;/s&gt;</c> and the like.</param>
    /// <returns>The text.</returns>
    /// <exception cref="ArgumentOutOfRangeException">An id is negative or not less than <see cref="VocabularySize"/>.</exception>
    string Decode(ReadOnlySpan<int> ids, bool skipSpecialTokens = true);

    /// <summary>The piece of an id, as the file spells it.</summary>
    /// <param name="id">The id.</param>
    /// <returns>The piece; an empty string for an id that no piece has.</returns>
    /// <exception cref="ArgumentOutOfRangeException">The id is negative or not less than <see cref="VocabularySize"/>.</exception>
    string Piece(int id);

    /// <summary>The id of a piece.</summary>
    /// <param name="piece">The piece, as the file spells it.</param>
    /// <returns>The id, or null where there is no such piece.</returns>
    int? FindId(string piece);

    /// <summary>Writes the tokenizer's file, byte for byte as it was read or trained; an existing file is replaced atomically.</summary>
    /// <param name="path">The file to write.</param>
    /// <exception cref="UserErrorException">The file cannot be written.</exception>
    void Save(string path);
}
