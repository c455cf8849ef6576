using System.Text;

namespace CrossAlign.Models.Tokenization.Pieces;

/// <summary>The unigram model of a <c>tokenizer.json</c>: each word is cut on its own, sums are in double precision.</summary>
internal sealed class UnigramModel : PieceModel
{
    /// <summary>How much worse an unknown character is than the worst piece; both libraries have this number.</summary>
    public const double UnknownPenalty = 10;

    private readonly string[] _pieces;
    private readonly UnigramVocabulary<double> _vocabulary;
    private readonly int[]? _byteIds;

    /// <summary>Makes a model.</summary>
    /// <param name="pieces">The pieces in the order of their ids.</param>
    /// <param name="scores">Their scores.</param>
    /// <param name="unknownId">The id of what cannot be spelled.</param>
    /// <param name="byteFallback">Whether unknown characters become byte pieces, where all of them are there.</param>
    /// <exception cref="ArgumentException">The pieces have more bytes than a trie can hold.</exception>
    public UnigramModel(string[] pieces, double[] scores, int? unknownId, bool byteFallback)
    {
        _pieces = pieces;
        UnknownId = unknownId;
        List<byte[]> keys = new(pieces.Length);
        List<int> values = new(pieces.Length);
        for (int id = 0; id < pieces.Length; id++)
        {
            if (pieces[id].Length > 0)
            {
                keys.Add(Encoding.UTF8.GetBytes(pieces[id]));
                values.Add(id);
            }
        }

        double smallest = scores.Length == 0 ? 0 : scores.Min();
        _vocabulary = new UnigramVocabulary<double>(new PieceTrie(keys, values), scores, smallest - UnknownPenalty, unknownId ?? -1);
        int[] bytes = [.. Enumerable.Range(0, 256).Select(b => FindId(BytePiece.Of((byte)b)) ?? -1)];
        _byteIds = byteFallback ? bytes : null;
    }

    /// <inheritdoc/>
    public override string Kind => "unigram";

    /// <inheritdoc/>
    public override int VocabularySize => _pieces.Length;

    /// <inheritdoc/>
    public override int? UnknownId { get; }

    /// <inheritdoc/>
    public override string? Piece(int id) => id < _pieces.Length ? _pieces[id] : null;

    /// <inheritdoc/>
    public override int? FindId(string piece)
    {
        int id = _vocabulary.Trie.Find(Encoding.UTF8.GetBytes(piece));
        return id < 0 ? null : id;
    }

    /// <inheritdoc/>
    protected override void EncodeWord(ReadOnlySpan<char> word, List<int> ids, List<string>? surfaces, EncodingState state)
    {
        ReadOnlySpan<byte> utf8 = state.ToUtf8(word);
        UnigramLattice<double> lattice = (UnigramLattice<double>)(state.ModelScratch ??= new UnigramLattice<double>());
        lattice.Run(_vocabulary, utf8, 0);
        ReadOnlySpan<UnigramLattice<double>.Segment> path = lattice.Path;
        int i = 0;
        while (i < path.Length)
        {
            UnigramLattice<double>.Segment segment = path[i++];
            if (segment.Id != _vocabulary.UnknownId)
            {
                ids.Add(segment.Id);
                surfaces?.Add(_pieces[segment.Id]);
                continue;
            }

            // Unknown neighbours are one unknown piece.
            int end = segment.End;
            while (i < path.Length && path[i].Id == segment.Id)
            {
                end = path[i++].End;
            }

            AddUnknown(utf8[segment.Start..end], ids, surfaces);
        }
    }

    private void AddUnknown(ReadOnlySpan<byte> utf8, List<int> ids, List<string>? surfaces)
    {
        // The library looks the joined letters up again: two unknown characters can be a piece that is too improbable to win.
        int found = _vocabulary.Trie.Find(utf8);
        if (found < 0 && HasBytes(utf8))
        {
            foreach (byte b in utf8)
            {
                ids.Add(_byteIds![b]);
                surfaces?.Add(_pieces[_byteIds[b]]);
            }

            return;
        }

        if (found < 0 && UnknownId is null)
        {
            throw new UserErrorException(
                $"the tokenizer cannot spell '{Encoding.UTF8.GetString(utf8)}': its vocabulary has no unknown token",
                "use a tokenizer whose model has an unk_id");
        }

        ids.Add(found >= 0 ? found : UnknownId!.Value);
        surfaces?.Add(Encoding.UTF8.GetString(utf8));
    }

    private bool HasBytes(ReadOnlySpan<byte> utf8)
    {
        if (_byteIds is null)
        {
            return false;
        }

        foreach (byte b in utf8)
        {
            if (_byteIds[b] < 0)
            {
                return false;
            }
        }

        return true;
    }
}
