namespace CrossAlign.Models.Evaluation;

/// <summary>How a query and an item of the pool are compared.</summary>
public enum SimilarityScore
{
    /// <summary>The cosine of the two vectors.</summary>
    Cosine,

    /// <summary>The inner product of the vectors as they are.</summary>
    Dot,

    /// <summary>The cosine after the mean unit vector of each side was subtracted: the cheapest map of all.</summary>
    Centred,

    /// <summary>
    /// 2 cos - r(x) - r(y), r the mean cosine to the k = 10 nearest of the other side (Conneau et al. 2018, MUSE).
    /// </summary>
    Csls,

    /// <summary>
    /// cos / ((m(x) + m(y)) / 2), m the mean cosine to the k = 4 nearest of the other side (Artetxe and Schwenk 2019, LASER).
    /// </summary>
    Margin,

    /// <summary>
    /// The ratio margin among the query's k = 4 nearest by cosine; whatever is not among them comes after, by cosine (LASER's xsim).
    /// </summary>
    Xsim,
}
