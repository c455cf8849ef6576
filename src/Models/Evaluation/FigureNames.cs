namespace CrossAlign.Models.Evaluation;

/// <summary>The names that scores and query subsets have in report files and on the command line.</summary>
public static class FigureNames
{
    /// <summary>The name of a comparison.</summary>
    /// <param name="score">The comparison.</param>
    /// <returns><c>cosine</c>, <c>dot</c>, <c>centred</c>, <c>csls</c>, <c>margin</c> or <c>xsim</c>.</returns>
    /// <exception cref="ArgumentOutOfRangeException">There is no such score.</exception>
    public static string Of(SimilarityScore score) => score switch
    {
        SimilarityScore.Cosine => "cosine",
        SimilarityScore.Dot => "dot",
        SimilarityScore.Centred => "centred",
        SimilarityScore.Csls => "csls",
        SimilarityScore.Margin => "margin",
        SimilarityScore.Xsim => "xsim",
        _ => throw new ArgumentOutOfRangeException(nameof(score), score, "Not a score."),
    };

    /// <summary>The name of a subset.</summary>
    /// <param name="queries">The subset.</param>
    /// <returns><c>all</c>, <c>not-identical</c> or <c>strict</c>.</returns>
    /// <exception cref="ArgumentOutOfRangeException">There is no such subset.</exception>
    public static string Of(QuerySubset queries) => queries switch
    {
        QuerySubset.All => "all",
        QuerySubset.NotIdentical => "not-identical",
        QuerySubset.Strict => "strict",
        _ => throw new ArgumentOutOfRangeException(nameof(queries), queries, "Not a query subset."),
    };

    /// <summary>Reads a comparison's name.</summary>
    /// <param name="name">The name as a user writes it.</param>
    /// <returns>The comparison.</returns>
    /// <exception cref="UserErrorException">There is no score of that name.</exception>
    public static SimilarityScore ParseScore(string name)
    {
        foreach (SimilarityScore score in Enum.GetValues<SimilarityScore>())
        {
            if (Of(score) == name)
            {
                return score;
            }
        }

        string known = string.Join(", ", Enum.GetValues<SimilarityScore>().Select(Of));
        throw new UserErrorException($"there is no score named '{name}'", $"use one of {known}");
    }
}
