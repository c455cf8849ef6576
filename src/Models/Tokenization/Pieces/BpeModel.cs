using System.Text;

namespace CrossAlign.Models.Tokenization.Pieces;

/// <summary>
/// Byte-pair encoding: the characters of a word are joined pair by pair, the pair of the lowest rank first, the leftmost of equals
/// first. Follows the published tokenizers library, its treatment of unknown characters included.
/// </summary>
/// <remarks>Source: Sennrich, Haddow, Birch (2016), "Neural machine translation of rare words with subword units".</remarks>
internal sealed class BpeModel : PieceModel
{
    private readonly Dictionary<string, int> _ids;
    private readonly string?[] _pieces;
    private readonly Dictionary<ulong, Merge> _merges;
    private readonly Dictionary<int, int> _characters = [];
    private readonly int[]? _byteIds;
    private readonly BpeOptions _options;

    /// <summary>Makes a model.</summary>
    /// <param name="ids">The pieces and their ids; ids are not negative.</param>
    /// <param name="merges">The two ids of each pair, and the id of the pair joined, by rank. Of equal pairs the last counts.</param>
    /// <param name="options">The settings of the file.</param>
    public BpeModel(Dictionary<string, int> ids, IReadOnlyList<(int Left, int Right, int Joined)> merges, BpeOptions options)
    {
        _ids = ids;
        _options = options;
        _pieces = new string?[ids.Count == 0 ? 0 : ids.Values.Max() + 1];
        foreach ((string piece, int id) in ids)
        {
            _pieces[id] = piece;
            if (Rune.TryGetRuneAt(piece.Length > 0 ? piece : "\uD800", 0, out Rune rune) && rune.Utf16SequenceLength == piece.Length)
            {
                _characters[rune.Value] = id;
            }
        }

        _merges = new Dictionary<ulong, Merge>(merges.Count);
        for (int rank = 0; rank < merges.Count; rank++)
        {
            (int left, int right, int joined) = merges[rank];
            _merges[Key(left, right)] = new Merge(rank, joined);
        }

        if (options.ByteFallback)
        {
            _byteIds = [.. Enumerable.Range(0, 256).Select(b => ids.TryGetValue(BytePiece.Of((byte)b), out int id) ? id : -1)];
        }
    }

    /// <inheritdoc/>
    public override string Kind => "bpe";

    /// <inheritdoc/>
    public override int VocabularySize => _pieces.Length;

    /// <inheritdoc/>
    public override int? UnknownId => _options.UnknownId;

    /// <inheritdoc/>
    public override string? Piece(int id) => id < _pieces.Length ? _pieces[id] : null;

    /// <inheritdoc/>
    public override int? FindId(string piece) => _ids.TryGetValue(piece, out int id) ? id : null;

    /// <inheritdoc/>
    protected override void EncodeWord(ReadOnlySpan<char> word, List<int> ids, List<string>? surfaces, EncodingState state)
    {
        int start = ids.Count;
        if (_options.IgnoreMerges && _ids.GetAlternateLookup<ReadOnlySpan<char>>().TryGetValue(word, out int whole))
        {
            ids.Add(whole);
        }
        else
        {
            Scratch scratch = (Scratch)(state.ModelScratch ??= new Scratch());
            AddCharacters(word, state, scratch);
            scratch.Join(_merges);
            scratch.Emit(ids);
        }

        if (surfaces is not null)
        {
            for (int i = start; i < ids.Count; i++)
            {
                surfaces.Add(_pieces[ids[i]] ?? "");
            }
        }
    }

    private static ulong Key(int left, int right) => ((ulong)(uint)left << 32) | (uint)right;

    private void AddCharacters(ReadOnlySpan<char> word, EncodingState state, Scratch scratch)
    {
        scratch.Clear();
        bool pendingUnknown = false;
        ReadOnlySpan<byte> utf8 = state.ToUtf8(word);
        int at = 0;
        int byteAt = 0;
        while (at < word.Length)
        {
            Rune.DecodeFromUtf16(word[at..], out Rune rune, out int units);
            int byteCount = rune.Utf8SequenceLength;
            if (TryFindCharacter(word, at, units, rune, out int id))
            {
                if (pendingUnknown)
                {
                    scratch.Add(_options.UnknownId!.Value);
                    pendingUnknown = false;
                }

                scratch.Add(id);
            }
            else if (!TryAddBytes(utf8.Slice(byteAt, byteCount), scratch) && _options.UnknownId is int unknown)
            {
                // Neighbouring unknown characters are one unknown token where the file says so.
                if (pendingUnknown && !_options.FuseUnknown)
                {
                    scratch.Add(unknown);
                }

                pendingUnknown = true;
            }

            at += units;
            byteAt += byteCount;
        }

        if (pendingUnknown)
        {
            scratch.Add(_options.UnknownId!.Value);
        }
    }

    private bool TryFindCharacter(ReadOnlySpan<char> word, int at, int units, Rune rune, out int id)
    {
        bool prefixed = at > 0 && _options.ContinuingPrefix.Length > 0;
        bool suffixed = at + units == word.Length && _options.EndOfWordSuffix.Length > 0;
        if (!prefixed && !suffixed)
        {
            return _characters.TryGetValue(rune.Value, out id);
        }

        string spelled = string.Concat(prefixed ? _options.ContinuingPrefix : "", word.Slice(at, units), suffixed ? _options.EndOfWordSuffix : "");
        return _ids.TryGetValue(spelled, out id);
    }

    private bool TryAddBytes(ReadOnlySpan<byte> utf8, Scratch scratch)
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

        foreach (byte b in utf8)
        {
            scratch.Add(_byteIds[b]);
        }

        return true;
    }

    private readonly record struct Merge(int Rank, int Joined);

    /// <summary>The symbols of one word as a doubly linked list, and the pairs that wait to be joined.</summary>
    private sealed class Scratch
    {
        private readonly PriorityQueue<(int At, int Joined), ulong> _queue = new();
        private int[] _symbols = new int[64];
        private int[] _next = new int[64];
        private int[] _previous = new int[64];
        private int _count;

        public void Clear() => _count = 0;

        public void Add(int id)
        {
            if (_count == _symbols.Length)
            {
                Array.Resize(ref _symbols, _count * 2);
                Array.Resize(ref _next, _count * 2);
                Array.Resize(ref _previous, _count * 2);
            }

            _symbols[_count] = id;
            _previous[_count] = _count - 1;
            _next[_count] = _count + 1;
            _count++;
        }

        public void Join(Dictionary<ulong, Merge> merges)
        {
            _queue.Clear();
            for (int i = 0; i + 1 < _count; i++)
            {
                Offer(merges, i);
            }

            while (_queue.TryDequeue(out (int At, int Joined) top, out _))
            {
                int at = top.At;
                int right = _symbols[at] < 0 ? _count : _next[at];

                // An entry is stale once one of its two symbols was joined with something else.
                if (right >= _count || !merges.TryGetValue(Key(_symbols[at], _symbols[right]), out Merge merge) || merge.Joined != top.Joined)
                {
                    continue;
                }

                _symbols[at] = top.Joined;
                _symbols[right] = -1;
                int after = _next[right];
                _next[at] = after;
                if (after < _count)
                {
                    _previous[after] = at;
                    Offer(merges, at);
                }

                if (_previous[at] >= 0)
                {
                    Offer(merges, _previous[at]);
                }
            }
        }

        public void Emit(List<int> ids)
        {
            for (int i = 0; i < _count; i = _next[i])
            {
                ids.Add(_symbols[i]);
            }
        }

        private void Offer(Dictionary<ulong, Merge> merges, int at)
        {
            if (merges.TryGetValue(Key(_symbols[at], _symbols[_next[at]]), out Merge merge))
            {
                _queue.Enqueue((at, merge.Joined), ((ulong)(uint)merge.Rank << 32) | (uint)at);
            }
        }
    }
}
