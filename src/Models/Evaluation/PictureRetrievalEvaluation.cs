using CrossAlign.Models.Data;
using CrossAlign.Runtime;

namespace CrossAlign.Models.Evaluation;

/// <summary>Finding the caption of a picture and the picture of a caption, style by style. Strings do not help here: no baseline.</summary>
public static class PictureRetrievalEvaluation
{
    /// <summary>Figures for every set, style and language; both directions.</summary>
    /// <param name="origin">Set-up and seed.</param>
    /// <param name="embeddings">Vectors of names and pictures.</param>
    /// <param name="sets">The sets of concepts.</param>
    /// <param name="styles">The styles. Where the data set has a single one, the figures carry none.</param>
    /// <param name="languages">The languages.</param>
    /// <param name="scores">The comparisons.</param>
    /// <param name="device">The processor to compute on; a temporary one where null.</param>
    /// <returns>
    /// The figures; the pool is every concept of the set that has a picture in the style and a name in the language. Concepts of one
    /// group are right for each other.
    /// </returns>
    /// <exception cref="UserErrorException">Vectors of a style or a language are missing.</exception>
    public static IReadOnlyList<Figure> Measure(
        FigureOrigin origin,
        ConceptEmbeddings embeddings,
        IReadOnlyList<ConceptSet> sets,
        IReadOnlyList<string> styles,
        IReadOnlyList<string> languages,
        IReadOnlyList<SimilarityScore> scores,
        CpuDevice? device = null)
    {
        ArgumentNullException.ThrowIfNull(origin);
        ArgumentNullException.ThrowIfNull(embeddings);
        ArgumentNullException.ThrowIfNull(sets);
        ArgumentNullException.ThrowIfNull(styles);
        ArgumentNullException.ThrowIfNull(languages);
        ArgumentNullException.ThrowIfNull(scores);
        CaptionedPictures data = embeddings.Data;
        List<Figure> figures = [];
        foreach (ConceptSet set in sets)
        {
            foreach (string style in styles)
            {
                int styleIndex = data.StyleIndex(style);
                foreach (string language in languages)
                {
                    int[] concepts =
                        [.. data.ConceptsOf(set).Where(c => data.PictureOf(c, styleIndex) >= 0 && data.NameOf(c, language) is not null)];
                    EmbeddingMatrix pictures = embeddings.Pictures(style).Select(concepts);
                    EmbeddingMatrix names = embeddings.Names(language).Select(concepts);
                    int[]? groups = embeddings.GroupsOf(concepts);
                    foreach (SimilarityScore score in scores)
                    {
                        Add(figures, pictures, names, FigureTasks.Picture, language, set, score, groups);
                        Add(figures, names, pictures, language, FigureTasks.Picture, set, score, groups);
                    }

                    void Add(
                        List<Figure> all, EmbeddingMatrix queries, EmbeddingMatrix pool, string from, string to, ConceptSet of, SimilarityScore by, int[]? g)
                    {
                        int[] ranks = BitextEvaluation.Ranks(queries, pool, by, g, device);
                        RetrievalMetrics metrics = RetrievalMetrics.FromRanks(ranks, ranks.Length);
                        Figure figure = Figure.Of(
                            origin, metrics, FigureTasks.Retrieval, from, to, ConceptSetNames.Of(of), QuerySubset.All, by);
                        all.Add(figure with { Style = data.Styles.Count > 1 ? style : null });
                    }
                }
            }
        }

        return figures;
    }
}
