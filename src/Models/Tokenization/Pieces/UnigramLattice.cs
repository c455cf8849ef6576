using System.Numerics;

namespace CrossAlign.Models.Tokenization.Pieces;

/// <summary>
/// The most probable way to cut a text into pieces (Viterbi). Candidates come in the order of their beginnings and a later one must
/// be strictly better, as in both published libraries; they differ in the type of the sums: <see cref="float"/> in SentencePiece 0.2.3
/// (0.1.97 compared a candidate in double before it rounded it, which turned 6 of 12,000 random texts), <see cref="double"/> in tokenizers.
/// </summary>
/// <typeparam name="T">The type of scores and sums.</typeparam>
/// <remarks>Source: Kudo (2018), "Subword regularization", section 3.2.</remarks>
internal sealed class UnigramLattice<T>
    where T : struct, IFloatingPointIeee754<T>
{
    private Node[] _nodes = new Node[128];
    private Segment[] _path = new Segment[64];
    private int _pathLength;

    /// <summary>The pieces of the last text in order.</summary>
    public ReadOnlySpan<Segment> Path => _path.AsSpan(_path.Length - _pathLength);

    /// <summary>The sum of scores at the end of the last text.</summary>
    public T Total { get; private set; }

    /// <summary>
    /// By how much, at least, each piece of the last path beats the best other piece that ends at the same place: so much may the
    /// sums be off without the path being another.
    /// </summary>
    public T Margin { get; private set; }

    /// <summary>Cuts a text.</summary>
    /// <param name="vocabulary">Pieces and scores.</param>
    /// <param name="text">UTF-8.</param>
    /// <param name="before">The sum of scores of what stands before the text.</param>
    public void Run(UnigramVocabulary<T> vocabulary, ReadOnlySpan<byte> text, T before)
    {
        if (_nodes.Length <= text.Length)
        {
            _nodes = new Node[Math.Max(text.Length + 1, _nodes.Length * 2)];
        }

        Span<Node> nodes = _nodes.AsSpan(0, text.Length + 1);
        nodes.Fill(new Node { Start = -1, Second = T.NegativeInfinity });
        nodes[0].Score = before;
        ReadOnlySpan<PieceTrie.Unit> units = vocabulary.Trie.Units;
        ReadOnlySpan<T> scores = vocabulary.Scores;
        T unknownScore = vocabulary.UnknownScore;
        PieceTrie.Unit root = units[0];
        int start = 0;
        while (start < text.Length)
        {
            T till = nodes[start].Score;
            int characterEnd = Math.Min(start + Utf8Length(text[start]), text.Length);
            bool hasCharacter = false;
            PieceTrie.Unit unit = root;
            int end = start;
            while (end < text.Length)
            {
                byte b = text[end];
                unit = units[unit.Child(b)];
                if (!unit.Is(b))
                {
                    break;
                }

                end++;
                int id = unit.Value;
                if (id >= 0)
                {
                    Offer(ref nodes[end], till + scores[id], id, start);
                    hasCharacter |= end == characterEnd;
                }
            }

            if (!hasCharacter)
            {
                Offer(ref nodes[characterEnd], till + unknownScore, vocabulary.UnknownId, start);
            }

            start = characterEnd;
        }

        Backtrack(nodes, text.Length);
    }

    private static void Offer(ref Node node, T score, int id, int start)
    {
        if (node.Start < 0)
        {
            node.Score = score;
            node.Id = id;
            node.Start = start;
        }
        else if (score > node.Score)
        {
            node.Second = node.Score;
            node.Score = score;
            node.Id = id;
            node.Start = start;
        }
        else if (score > node.Second)
        {
            node.Second = score;
        }
    }

    private static int Utf8Length(byte lead) => lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;

    private void Backtrack(ReadOnlySpan<Node> nodes, int end)
    {
        Total = nodes[end].Score;
        T margin = T.PositiveInfinity;
        int count = 0;
        while (end > 0)
        {
            ref readonly Node node = ref nodes[end];
            T gap = node.Score - node.Second;
            margin = gap < margin ? gap : margin;
            if (count == _path.Length)
            {
                Segment[] larger = new Segment[_path.Length * 2];
                _path.CopyTo(larger, _path.Length);
                _path = larger;
            }

            count++;
            _path[^count] = new Segment(node.Id, node.Start, end);
            end = node.Start;
        }

        _pathLength = count;
        Margin = margin;
    }

    /// <summary>One piece of a path: its id and the bytes that it covers.</summary>
    /// <param name="Id">The id.</param>
    /// <param name="Start">The first byte.</param>
    /// <param name="End">One past the last byte.</param>
    public readonly record struct Segment(int Id, int Start, int End);

    private struct Node
    {
        public T Score;
        public T Second;
        public int Id;
        public int Start;
    }
}
