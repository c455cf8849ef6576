using System.Text;

namespace CrossAlign.Models.Tokenization.Pieces;

/// <summary>
/// WordPiece, as BERT and LaBSE have it: from the left the longest piece that fits, pieces inside a word being marked by a prefix; a
/// word that cannot be spelled whole is one unknown token.
/// </summary>
/// <remarks>Source: Wu et al. (2016), "Google's neural machine translation system", section 4.1; the greedy match is BERT's.</remarks>
internal sealed class WordPieceModel : PieceModel
{
    private readonly Dictionary<string, int> _ids;
    private readonly string?[] _pieces;
    private readonly PieceTrie _first;
    private readonly PieceTrie _continuing;
    private readonly int _unknownId;
    private readonly int _longestWord;

    /// <summary>Makes a model.</summary>
    /// <param name="ids">The pieces and their ids.</param>
    /// <param name="unknownId">The id of a word that cannot be spelled.</param>
    /// <param name="continuingPrefix">Marks pieces that do not begin a word.</param>
    /// <param name="longestWord">A word of more characters is unknown.</param>
    /// <exception cref="ArgumentException">The pieces have more bytes than a trie can hold.</exception>
    public WordPieceModel(Dictionary<string, int> ids, int unknownId, string continuingPrefix, int longestWord)
    {
        _ids = ids;
        _unknownId = unknownId;
        _longestWord = longestWord;
        _pieces = new string?[ids.Count == 0 ? 0 : ids.Values.Max() + 1];
        foreach ((string piece, int id) in ids)
        {
            _pieces[id] = piece;
        }

        _first = Trie(ids, "");
        _continuing = Trie(ids, continuingPrefix);
    }

    /// <inheritdoc/>
    public override string Kind => "wordpiece";

    /// <inheritdoc/>
    public override int VocabularySize => _pieces.Length;

    /// <inheritdoc/>
    public override int? UnknownId => _unknownId;

    /// <inheritdoc/>
    public override string? Piece(int id) => id < _pieces.Length ? _pieces[id] : null;

    /// <inheritdoc/>
    public override int? FindId(string piece) => _ids.TryGetValue(piece, out int id) ? id : null;

    /// <inheritdoc/>
    protected override void EncodeWord(ReadOnlySpan<char> word, List<int> ids, List<string>? surfaces, EncodingState state)
    {
        ReadOnlySpan<byte> rest = state.ToUtf8(word);
        int start = ids.Count;
        bool spelled = CountCharacters(rest) <= _longestWord;
        PieceTrie trie = _first;
        while (spelled && !rest.IsEmpty)
        {
            int length = trie.LongestPrefix(rest, out int id);
            spelled = length > 0;
            ids.Add(id);
            rest = rest[length..];
            trie = _continuing;
        }

        if (!spelled)
        {
            ids.RemoveRange(start, ids.Count - start);
            ids.Add(_unknownId);
        }

        for (int i = start; surfaces is not null && i < ids.Count; i++)
        {
            surfaces.Add(_pieces[ids[i]] ?? "");
        }
    }

    private static PieceTrie Trie(Dictionary<string, int> ids, string prefix)
    {
        List<byte[]> keys = [];
        List<int> values = [];
        foreach ((string piece, int id) in ids)
        {
            if (piece.Length > prefix.Length && piece.StartsWith(prefix, StringComparison.Ordinal))
            {
                keys.Add(Encoding.UTF8.GetBytes(piece[prefix.Length..]));
                values.Add(id);
            }
        }

        return new PieceTrie(keys, values);
    }

    private static int CountCharacters(ReadOnlySpan<byte> utf8)
    {
        int count = 0;
        foreach (byte b in utf8)
        {
            count += (b & 0xC0) != 0x80 ? 1 : 0;
        }

        return count;
    }
}
