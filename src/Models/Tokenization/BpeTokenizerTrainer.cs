namespace CrossAlign.Models.Tokenization;

/// <summary>
/// Trains a byte-pair encoding with visible spaces and byte fallback: the most frequent pair of neighbouring pieces is joined, again
/// and again, until the vocabulary is full. Deterministic, and independent of the order of the texts: of equally frequent pairs the
/// one with the smaller left id is joined first, then the one with the smaller right id.
/// </summary>
/// <remarks>
/// Ids: <c>&lt;s&gt;</c> 0, <c>&lt;pad&gt;</c> 1, <c>&lt;/s&gt;</c> 2, <c>&lt;unk&gt;</c> 3, the 256 byte pieces, the alphabet in the order of code points,
/// the joined pieces in the order of their making, <c>&lt;mask&gt;</c> last.
/// Source: Sennrich, Haddow, Birch (2016), algorithm 1, with counts that are kept up to date from join to join.
/// </remarks>
public sealed class BpeTokenizerTrainer
{
    /// <summary>The fewest pieces that hold the special tokens, the bytes and a visible space.</summary>
    public const int FewestPieces = TokenizerJsonWriter.FirstFreeId + 2;

    private readonly int _pieces;

    /// <summary>Makes a trainer.</summary>
    /// <param name="pieces">The size of the vocabulary, special tokens, bytes and <c>&lt;mask&gt;</c> included.</param>
    /// <exception cref="UserErrorException"><paramref name="pieces"/> is less than <see cref="FewestPieces"/>.</exception>
    public BpeTokenizerTrainer(int pieces)
    {
        if (pieces < FewestPieces)
        {
            throw new UserErrorException(
                FormattableString.Invariant($"a vocabulary of {pieces} pieces has no room for the special tokens and the 256 bytes"),
                FormattableString.Invariant($"ask for at least {FewestPieces} pieces; some thousands are usual"));
        }

        _pieces = pieces;
    }

    /// <summary>
    /// The share of all characters that the alphabet covers; the rarest ones are left to the byte pieces. Never takes more than
    /// half of the free pieces, so that some are left for joined ones.
    /// </summary>
    public double CharacterCoverage { get; init; } = 0.9995;

    /// <summary>A pair that occurs less often is not joined.</summary>
    public int MinimumPairCount { get; init; } = 2;

    /// <summary>No joined piece has more characters, the visible space included.</summary>
    public int LongestPiece { get; init; } = 16;

    /// <summary>Trains a tokenizer.</summary>
    /// <param name="texts">The texts, repeats count as often as they come.</param>
    /// <returns>
    /// The tokenizer; its vocabulary is smaller than asked for where the texts have no more pairs that occur often enough.
    /// </returns>
    /// <exception cref="UserErrorException">There is no text, or one is not well-formed UTF-16.</exception>
    public PipelineTokenizer Train(IEnumerable<string> texts)
    {
        ArgumentNullException.ThrowIfNull(texts);
        WordCounts words = WordCounts.Of(texts);
        List<string> pieces = words.Alphabet(CharacterCoverage, Math.Max(1, (_pieces - TokenizerJsonWriter.FirstFreeId - 1) / 2));
        BpeMerger merger = new(words, pieces, LongestPiece);
        List<(string Left, string Right)> merges = [];
        while (TokenizerJsonWriter.FirstFreeId + pieces.Count + 1 < _pieces && merger.TryJoin(MinimumPairCount, pieces, out (string Left, string Right) merge))
        {
            merges.Add(merge);
        }

        return TokenizerJsonReader.Read(TokenizerJsonWriter.Bpe(pieces, merges), "the trained tokenizer");
    }
}
