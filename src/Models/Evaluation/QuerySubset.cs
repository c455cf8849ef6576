namespace CrossAlign.Models.Evaluation;

/// <summary>Which pairs of a set are asked about; the pool is always the whole set.</summary>
public enum QuerySubset
{
    /// <summary>Every pair.</summary>
    All,

    /// <summary>Pairs whose two texts differ after normalisation.</summary>
    NotIdentical,

    /// <summary>
    /// Pairs whose texts share no word with each other and, unless the language is Spanish, none with the Spanish text: loans do not
    /// give the answer away.
    /// </summary>
    Strict,
}
