using System.Runtime.InteropServices;
using System.Text;
using System.Text.RegularExpressions;

namespace CrossAlign.Models.Evaluation;

/// <summary>
/// What strings alone give away: TF-IDF vectors over character n-grams with smoothed idf, ln((1 + N) / (1 + df)) + 1, fitted on both
/// sides of the scored set, rows at unit length, compared by cosine. A model has learned to align only what it finds beyond this.
/// </summary>
/// <remarks>
/// Texts are taken as given but for lower case (invariant): normalise captions first. An n-gram is one of Unicode code points.
/// Source: Salton and Buckley 1988; the variants are those of scikit-learn's <c>TfidfVectorizer</c>.
/// </remarks>
public sealed partial class NGramBaseline
{
    private readonly SparseRow[] _left;
    private readonly SparseRow[] _right;
    private readonly Dictionary<string, int> _vocabulary = new(StringComparer.Ordinal);
    private readonly double[] _idf;

    /// <summary>Fits the weights on both sides.</summary>
    /// <param name="left">The texts of one language.</param>
    /// <param name="right">The texts of the other.</param>
    /// <param name="options">How they are cut and weighted; <see cref="NGramOptions.Album"/> where null.</param>
    /// <exception cref="ArgumentOutOfRangeException">The lengths of the options are not 1 or more in ascending order.</exception>
    public NGramBaseline(IReadOnlyList<string> left, IReadOnlyList<string> right, NGramOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(left);
        ArgumentNullException.ThrowIfNull(right);
        options ??= NGramOptions.Album;
        ArgumentOutOfRangeException.ThrowIfLessThan(options.Shortest, 1, nameof(options));
        ArgumentOutOfRangeException.ThrowIfLessThan(options.Longest, options.Shortest, nameof(options));

        List<int> documentCounts = [];
        Dictionary<int, int>[] counts = [.. left.Concat(right).Select(text => Count(text, options, documentCounts))];
        int documents = counts.Length;
        _idf = [.. documentCounts.Select(df => Math.Log((1.0 + documents) / (1.0 + df)) + 1)];
        SparseRow[] rows = [.. counts.Select(c => Weigh(c, options.Sublinear))];
        _left = rows[..left.Count];
        _right = rows[left.Count..];
    }

    /// <summary>The number of different n-grams.</summary>
    public int VocabularySize => _vocabulary.Count;

    /// <summary>The inverse document frequency of an n-gram.</summary>
    /// <param name="gram">The n-gram.</param>
    /// <returns>ln((1 + N) / (1 + df)) + 1, or null where it does not occur.</returns>
    public double? InverseDocumentFrequency(string gram) => _vocabulary.TryGetValue(gram, out int index) ? _idf[index] : null;

    /// <summary>The cosine of every text of the left side with every text of the right side.</summary>
    /// <returns>(left, right) values.</returns>
    public double[,] Similarities()
    {
        double[,] similarities = new double[_left.Length, _right.Length];
        double[] dense = new double[VocabularySize];
        for (int i = 0; i < _left.Length; i++)
        {
            _left[i].Scatter(dense);
            for (int j = 0; j < _right.Length; j++)
            {
                similarities[i, j] = _right[j].Dot(dense);
            }

            _left[i].Clear(dense);
        }

        return similarities;
    }

    /// <summary>
    /// R@1 from left to right, text i of the right side being the right one for text i of the left side. A hit that shares its score
    /// with t others counts 1 / (t + 1).
    /// </summary>
    /// <param name="queries">The rows to count; all where null.</param>
    /// <returns>A fraction of 1; NaN for no queries.</returns>
    /// <exception cref="InvalidOperationException">The sides do not pair up.</exception>
    public double FirstRate(IReadOnlyList<int>? queries = null) => Rate(Hits(), queries);

    /// <summary>The same from right to left.</summary>
    /// <param name="queries">The rows to count; all where null.</param>
    /// <returns>A fraction of 1; NaN for no queries.</returns>
    /// <exception cref="InvalidOperationException">The sides do not pair up.</exception>
    public double FirstRateReversed(IReadOnlyList<int>? queries = null) => Rate(HitsReversed(), queries);

    /// <summary>What each text of the left side counts.</summary>
    /// <param name="groups">Texts of one group are all right for each other; where null each is right for its own pair alone.</param>
    /// <returns>0, 1, or the share of right texts among those that tie for the first place.</returns>
    /// <exception cref="InvalidOperationException">The sides do not pair up.</exception>
    public double[] Hits(IReadOnlyList<int>? groups = null) => Hits(_left, _right, groups);

    /// <summary>What each text of the right side counts.</summary>
    /// <param name="groups">As for <see cref="Hits(IReadOnlyList{int}?)"/>.</param>
    /// <returns>0, 1, or the share of right texts among those that tie for the first place.</returns>
    /// <exception cref="InvalidOperationException">The sides do not pair up.</exception>
    public double[] HitsReversed(IReadOnlyList<int>? groups = null) => Hits(_right, _left, groups);

    /// <summary>The mean over some queries.</summary>
    /// <param name="hits">What each query counts.</param>
    /// <param name="queries">The rows to count; all where null.</param>
    /// <returns>A fraction of 1; NaN for no queries.</returns>
    internal static double Rate(double[] hits, IReadOnlyList<int>? queries)
    {
        double[] counted = queries is null ? hits : [.. queries.Select(q => hits[q])];
        return counted.Length == 0 ? double.NaN : counted.Sum() / counted.Length;
    }

    private double[] Hits(SparseRow[] from, SparseRow[] to, IReadOnlyList<int>? groups)
    {
        if (from.Length != to.Length || (groups is not null && groups.Count != from.Length))
        {
            throw new InvalidOperationException($"{from.Length} and {to.Length} texts do not pair up.");
        }

        // An inverted index: a query meets only the texts that share an n-gram with it.
        List<(int Row, double Weight)>[] postings = [.. Enumerable.Range(0, VocabularySize).Select(_ => new List<(int, double)>())];
        for (int j = 0; j < to.Length; j++)
        {
            for (int k = 0; k < to[j].Indices.Length; k++)
            {
                postings[to[j].Indices[k]].Add((j, to[j].Weights[k]));
            }
        }

        double[] hits = new double[from.Length];
        Parallel.For(0, from.Length, () => new double[to.Length], (q, _, scores) =>
        {
            Array.Clear(scores);
            SparseRow query = from[q];
            for (int k = 0; k < query.Indices.Length; k++)
            {
                foreach ((int row, double weight) in CollectionsMarshal.AsSpan(postings[query.Indices[k]]))
                {
                    scores[row] += query.Weights[k] * weight;
                }
            }

            hits[q] = Hit(scores, q, groups);
            return scores;
        }, _ => { });
        return hits;
    }

    // Every text's sum runs over the query's n-grams in the same order, so equal texts give equal scores: ties are exact.
    private static double Hit(double[] scores, int query, IReadOnlyList<int>? groups)
    {
        double best = scores.Max();
        int right = 0;
        int wrong = 0;
        for (int j = 0; j < scores.Length; j++)
        {
            if (scores[j] == best)
            {
                bool isRight = j == query || (groups is not null && groups[j] == groups[query]);
                (right, wrong) = isRight ? (right + 1, wrong) : (right, wrong + 1);
            }
        }

        return (double)right / (right + wrong);
    }

    private Dictionary<int, int> Count(string text, NGramOptions options, List<int> documentCounts)
    {
        Dictionary<int, int> counts = [];
        foreach (string gram in Grams(text, options))
        {
            if (!_vocabulary.TryGetValue(gram, out int index))
            {
                index = _vocabulary.Count;
                _vocabulary.Add(gram, index);
                documentCounts.Add(0);
            }

            ref int count = ref CollectionsMarshal.GetValueRefOrAddDefault(counts, index, out bool seen);
            count++;
            documentCounts[index] += seen ? 0 : 1;
        }

        return counts;
    }

    private SparseRow Weigh(Dictionary<int, int> counts, bool sublinear)
    {
        int[] indices = [.. counts.Keys.Order()];
        double[] weights = [.. indices.Select(i => (sublinear ? 1 + Math.Log(counts[i]) : counts[i]) * _idf[i])];
        double length = Math.Sqrt(weights.Sum(w => w * w));
        for (int k = 0; k < weights.Length; k++)
        {
            weights[k] /= length;
        }

        return new SparseRow(indices, weights);
    }

    private static IEnumerable<string> Grams(string text, NGramOptions options)
    {
        text = text.ToLowerInvariant();
        if (!options.InsideWords)
        {
            return Grams(WhiteSpaceRuns().Replace(text, " "), options, paddedWord: false);
        }

        return text.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries).SelectMany(word => Grams($" {word} ", options, paddedWord: true));
    }

    private static IEnumerable<string> Grams(string text, NGramOptions options, bool paddedWord)
    {
        Rune[] runes = [.. text.EnumerateRunes()];
        int[] offsets = new int[runes.Length + 1];
        for (int i = 0; i < runes.Length; i++)
        {
            offsets[i + 1] = offsets[i] + runes[i].Utf16SequenceLength;
        }

        for (int n = options.Shortest; n <= options.Longest; n++)
        {
            for (int start = 0; start <= runes.Length - n; start++)
            {
                yield return text[offsets[start]..offsets[start + n]];
            }

            // char_wb counts a word shorter than n once, as it is, and then goes on to the next word.
            if (paddedWord && runes.Length <= n)
            {
                if (runes.Length < n)
                {
                    yield return text;
                }

                yield break;
            }
        }
    }

    // A single white-space character stays what it is, as in scikit-learn.
    [GeneratedRegex(@"\s\s+")]
    private static partial Regex WhiteSpaceRuns();

    private sealed record SparseRow(int[] Indices, double[] Weights)
    {
        public void Scatter(double[] dense)
        {
            for (int k = 0; k < Indices.Length; k++)
            {
                dense[Indices[k]] = Weights[k];
            }
        }

        public void Clear(double[] dense)
        {
            foreach (int index in Indices)
            {
                dense[index] = 0;
            }
        }

        public double Dot(double[] dense)
        {
            double sum = 0;
            for (int k = 0; k < Indices.Length; k++)
            {
                sum += Weights[k] * dense[Indices[k]];
            }

            return sum;
        }
    }
}
