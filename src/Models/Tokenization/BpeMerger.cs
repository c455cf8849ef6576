using System.Runtime.InteropServices;
using System.Text;

namespace CrossAlign.Models.Tokenization;

/// <summary>
/// The words of a text collection as lists of pieces, and how often each pair of neighbours occurs; joins one pair after the other.
/// The counts of the few pairs that a join touches are corrected, the others stay, so that a join costs as much as it changes.
/// </summary>
internal sealed class BpeMerger
{
    private const int None = -1;

    private readonly List<string> _pieces = [];
    private readonly List<int> _lengths = [];
    private readonly Dictionary<string, int> _ids = [];
    private readonly int[] _symbols;
    private readonly int[] _next;
    private readonly int[] _previous;
    private readonly int[] _words;
    private readonly long[] _counts;
    private readonly Dictionary<ulong, Pair> _pairs = [];
    private readonly PriorityQueue<ulong, (long NegativeCount, ulong Key)> _queue = new();
    private readonly int _longestPiece;

    /// <summary>Lays the words out.</summary>
    /// <param name="words">The words and their counts.</param>
    /// <param name="alphabet">The first pieces: the characters. A character that is not among them belongs to no pair.</param>
    /// <param name="longestPiece">The most characters of a joined piece.</param>
    public BpeMerger(WordCounts words, IReadOnlyList<string> alphabet, int longestPiece)
    {
        _longestPiece = longestPiece;
        foreach (string character in alphabet)
        {
            AddPiece(character, 1);
        }

        int total = words.Words.Sum(w => w.Word.EnumerateRunes().Count());
        _symbols = new int[total];
        _next = new int[total];
        _previous = new int[total];
        _words = new int[total];
        _counts = [.. words.Words.Select(w => w.Count)];
        int at = 0;
        for (int word = 0; word < words.Words.Count; word++)
        {
            int start = at;
            foreach (Rune rune in words.Words[word].Word.EnumerateRunes())
            {
                _symbols[at] = _ids.TryGetValue(rune.ToString(), out int id) ? id : None;
                _words[at] = word;
                _previous[at] = at == start ? None : at - 1;
                _next[at] = at + 1;
                at++;
            }

            _next[at - 1] = None;
        }

        for (int i = 0; i < total; i++)
        {
            Count(i, 1);
        }

        foreach ((ulong key, Pair pair) in _pairs)
        {
            _queue.Enqueue(key, (-pair.Count, key));
        }
    }

    /// <summary>Joins the most frequent pair.</summary>
    /// <param name="minimumCount">The fewest occurrences that are worth a join.</param>
    /// <param name="pieces">The joined piece is appended, unless it was there already, made from another pair.</param>
    /// <param name="merge">The two pieces that were joined.</param>
    /// <returns>False where no pair is left that may be joined.</returns>
    public bool TryJoin(int minimumCount, List<string> pieces, out (string Left, string Right) merge)
    {
        while (_queue.TryDequeue(out ulong key, out (long NegativeCount, ulong Key) priority))
        {
            if (!_pairs.TryGetValue(key, out Pair? pair))
            {
                continue;
            }

            if (pair.Count != -priority.NegativeCount)
            {
                // Counted down since it was queued; where it was counted up, it was queued again.
                if (pair.Count < -priority.NegativeCount && pair.Count >= minimumCount)
                {
                    _queue.Enqueue(key, (-pair.Count, key));
                }

                continue;
            }

            if (pair.Count < minimumCount)
            {
                break;
            }

            int left = (int)(key >> 32);
            int right = (int)(uint)key;
            string joined = _pieces[left] + _pieces[right];
            _pairs.Remove(key);
            if (_lengths[left] + _lengths[right] > _longestPiece || TokenizerJsonWriter.IsReserved(joined))
            {
                continue;
            }

            if (!_ids.TryGetValue(joined, out int id))
            {
                id = AddPiece(joined, _lengths[left] + _lengths[right]);
                pieces.Add(joined);
            }

            Join(pair, left, right, id);
            merge = (_pieces[left], _pieces[right]);
            return true;
        }

        merge = default;
        return false;
    }

    private static ulong Key(int left, int right) => ((ulong)(uint)left << 32) | (uint)right;

    private int AddPiece(string piece, int length)
    {
        _ids[piece] = _pieces.Count;
        _pieces.Add(piece);
        _lengths.Add(length);
        return _pieces.Count - 1;
    }

    private void Join(Pair pair, int left, int right, int joined)
    {
        HashSet<ulong> grown = [];
        pair.Places.Sort();
        foreach (int at in pair.Places)
        {
            int second = _next[at];

            // A place is stale once one of its two pieces was joined with something else.
            if (_symbols[at] != left || second == None || _symbols[second] != right)
            {
                continue;
            }

            int before = _previous[at];
            int after = _next[second];
            Count(before, -1);
            Count(second, -1);
            _symbols[at] = joined;
            _symbols[second] = None;
            _next[second] = None;
            _next[at] = after;
            if (after != None)
            {
                _previous[after] = at;
            }

            if (Count(before, 1) is ulong newLeft)
            {
                grown.Add(newLeft);
            }

            if (Count(at, 1) is ulong newRight)
            {
                grown.Add(newRight);
            }
        }

        foreach (ulong key in grown)
        {
            if (_pairs.TryGetValue(key, out Pair? found))
            {
                _queue.Enqueue(key, (-found.Count, key));
            }
        }
    }

    /// <summary>Counts the pair that begins at a place up or down; gives its key.</summary>
    private ulong? Count(int at, int sign)
    {
        if (at == None || _symbols[at] == None || _next[at] == None || _symbols[_next[at]] == None)
        {
            return null;
        }

        ulong key = Key(_symbols[at], _symbols[_next[at]]);
        if (sign < 0)
        {
            if (_pairs.TryGetValue(key, out Pair? known))
            {
                known.Count -= _counts[_words[at]];
            }

            return key;
        }

        Pair pair = CollectionsMarshal.GetValueRefOrAddDefault(_pairs, key, out _) ??= new Pair();
        pair.Count += _counts[_words[at]];
        pair.Places.Add(at);
        return key;
    }

    private sealed class Pair
    {
        public long Count { get; set; }

        public List<int> Places { get; } = [];
    }
}
