using CrossAlign.Models.Data;
using CrossAlign.Runtime;

namespace CrossAlign.Models.Evaluation;

/// <summary>
/// Finding translations among the texts of another language, with what strings alone reach beside every figure. Both directions; the
/// pool is always every pair of the set, whichever subset is asked about.
/// </summary>
public static class BitextEvaluation
{
    /// <summary>Figures of pairs of texts.</summary>
    /// <param name="origin">Set-up and seed.</param>
    /// <param name="pairs">The pairs.</param>
    /// <param name="scores">The comparisons.</param>
    /// <param name="device">The processor to compute on; a temporary one where null.</param>
    /// <returns>A figure for each direction, score and query subset; with a count of 0 and no rates where a subset is empty.</returns>
    public static IReadOnlyList<Figure> Measure(
        FigureOrigin origin, BitextPairs pairs, IReadOnlyList<SimilarityScore> scores, CpuDevice? device = null)
    {
        ArgumentNullException.ThrowIfNull(pairs);
        ArgumentNullException.ThrowIfNull(scores);
        NGramBaseline baseline = new(pairs.SourceTexts, pairs.TargetTexts);
        double[] hits = baseline.Hits(pairs.Groups);
        double[] hitsReversed = baseline.HitsReversed(pairs.Groups);
        List<Figure> figures = [];
        foreach (SimilarityScore score in scores)
        {
            int[] ranks = Ranks(pairs.SourceEmbeddings, pairs.TargetEmbeddings, score, pairs.Groups, device);
            int[] ranksReversed = Ranks(pairs.TargetEmbeddings, pairs.SourceEmbeddings, score, pairs.Groups, device);
            foreach ((QuerySubset subset, IReadOnlyList<int> queries) in Subsets(pairs))
            {
                figures.Add(One(origin, pairs, pairs.Source, pairs.Target, score, subset, queries, ranks, hits));
                figures.Add(One(origin, pairs, pairs.Target, pairs.Source, score, subset, queries, ranksReversed, hitsReversed));
            }
        }

        return figures;
    }

    /// <summary>Figures of the names of a data set's concepts, each language against one other.</summary>
    /// <param name="origin">Set-up and seed.</param>
    /// <param name="embeddings">Vectors of the names.</param>
    /// <param name="sets">The sets of concepts.</param>
    /// <param name="languages">The languages; <paramref name="pivot"/> itself is passed over.</param>
    /// <param name="scores">The comparisons.</param>
    /// <param name="pivot">The language that each is paired with.</param>
    /// <param name="device">The processor to compute on; a temporary one where null.</param>
    /// <returns>The figures.</returns>
    /// <exception cref="UserErrorException">A language's vectors are missing.</exception>
    public static IReadOnlyList<Figure> MeasureConcepts(
        FigureOrigin origin,
        ConceptEmbeddings embeddings,
        IReadOnlyList<ConceptSet> sets,
        IReadOnlyList<string> languages,
        IReadOnlyList<SimilarityScore> scores,
        string pivot = "en",
        CpuDevice? device = null)
    {
        ArgumentNullException.ThrowIfNull(embeddings);
        ArgumentNullException.ThrowIfNull(sets);
        ArgumentNullException.ThrowIfNull(languages);
        List<Figure> figures = [];
        foreach (ConceptSet set in sets)
        {
            foreach (string language in languages.Where(l => l != pivot))
            {
                figures.AddRange(Measure(origin, PairsOf(embeddings, set, language, pivot), scores, device));
            }
        }

        return figures;
    }

    /// <summary>Figures of the paragraphs of the declaration of human rights: text of another kind than what was trained on.</summary>
    /// <param name="origin">Set-up and seed.</param>
    /// <param name="corpus">The declarations.</param>
    /// <param name="languages">The languages; <paramref name="pivot"/> and languages without a declaration are passed over.</param>
    /// <param name="encode">Gives a vector for each text.</param>
    /// <param name="scores">The comparisons.</param>
    /// <param name="pivot">The language that each is paired with.</param>
    /// <param name="device">The processor to compute on; a temporary one where null.</param>
    /// <returns>The figures. Compare the languages in them with those asked for to name the ones that have no declaration.</returns>
    /// <exception cref="UserErrorException">The pivot has no declaration.</exception>
    public static IReadOnlyList<Figure> MeasureUdhr(
        FigureOrigin origin,
        UdhrCorpus corpus,
        IReadOnlyList<string> languages,
        Func<IReadOnlyList<string>, EmbeddingMatrix> encode,
        IReadOnlyList<SimilarityScore> scores,
        string pivot = "en",
        CpuDevice? device = null)
    {
        ArgumentNullException.ThrowIfNull(corpus);
        ArgumentNullException.ThrowIfNull(languages);
        ArgumentNullException.ThrowIfNull(encode);
        List<Figure> figures = [];
        foreach (string language in languages.Where(l => l != pivot && corpus.Languages.Contains(l)))
        {
            IReadOnlyList<(string First, string Second)> texts = corpus.Pairs(language, pivot);
            string[] sources = [.. texts.Select(t => t.First)];
            string[] targets = [.. texts.Select(t => t.Second)];
            BitextPairs pairs = new(language, pivot, ConceptSetNames.Udhr, sources, targets, encode(sources), encode(targets));
            figures.AddRange(Measure(origin, pairs, scores, device));
        }

        return figures;
    }

    /// <summary>The pairs of a set: every concept that has a name in both languages.</summary>
    /// <param name="embeddings">Vectors of the names.</param>
    /// <param name="set">The set.</param>
    /// <param name="language">The language that is evaluated.</param>
    /// <param name="pivot">The language that it is paired with.</param>
    /// <returns>The pairs with their strict subset.</returns>
    /// <exception cref="UserErrorException">A language's vectors are missing.</exception>
    public static BitextPairs PairsOf(ConceptEmbeddings embeddings, ConceptSet set, string language, string pivot)
    {
        ArgumentNullException.ThrowIfNull(embeddings);
        CaptionedPictures data = embeddings.Data;
        int[] concepts =
            [.. data.ConceptsOf(set).Where(c => data.NameOf(c, language) is not null && data.NameOf(c, pivot) is not null)];
        string[] sources = [.. concepts.Select(c => data.NameOf(c, language)!)];
        string[] targets = [.. concepts.Select(c => data.NameOf(c, pivot)!)];

        // Against another pivot than English the two names must not share a word either.
        int[] strict =
        [
            .. Enumerable.Range(0, concepts.Length)
                .Where(i => data.IsStrictQuery(concepts[i], language) && CaptionText.IsStrict(language, sources[i], targets[i], null)),
        ];
        return new BitextPairs(
            language,
            pivot,
            ConceptSetNames.Of(set),
            sources,
            targets,
            embeddings.Names(language).Select(concepts),
            embeddings.Names(pivot).Select(concepts))
        {
            Strict = strict,
            Groups = embeddings.GroupsOf(concepts),
        };
    }

    /// <summary>The ranks of row i of the pool for query i, or of the first item of its group.</summary>
    /// <param name="queries">(n, E) vectors.</param>
    /// <param name="pool">(n, E) vectors.</param>
    /// <param name="score">The comparison.</param>
    /// <param name="groups">Groups of the rows, or null.</param>
    /// <param name="device">The processor.</param>
    /// <returns>n ranks.</returns>
    internal static int[] Ranks(
        EmbeddingMatrix queries, EmbeddingMatrix pool, SimilarityScore score, IReadOnlyList<int>? groups, CpuDevice? device)
    {
        ScoreRows rows = new(queries, pool, score, device);
        return groups is null ? Retrieval.Ranks(rows) : Retrieval.FirstRelevantRanks(rows, groups, groups);
    }

    private static IEnumerable<(QuerySubset Subset, IReadOnlyList<int> Queries)> Subsets(BitextPairs pairs)
    {
        yield return (QuerySubset.All, [.. Enumerable.Range(0, pairs.SourceTexts.Count)]);
        yield return (QuerySubset.NotIdentical, pairs.NotIdentical);
        if (pairs.Strict is not null)
        {
            yield return (QuerySubset.Strict, pairs.Strict);
        }
    }

    private static Figure One(
        FigureOrigin origin,
        BitextPairs pairs,
        string from,
        string to,
        SimilarityScore score,
        QuerySubset subset,
        IReadOnlyList<int> queries,
        int[] ranks,
        double[] hits)
    {
        int[] asked = [.. queries.Select(q => ranks[q])];
        RetrievalMetrics metrics = RetrievalMetrics.FromRanks(asked, ranks.Length);
        Figure figure = Figure.Of(origin, metrics, FigureTasks.Bitext, from, to, pairs.Set, subset, score);
        double baseline = NGramBaseline.Rate(hits, queries);
        return double.IsNaN(baseline) ? figure : figure with { Baseline = new FigureBaseline(FigureBaseline.NGramName, baseline) };
    }
}
