namespace CrossAlign.Kernels;

/// <summary>How the token vectors of a sequence become one vector.</summary>
public enum PoolingKind
{
    /// <summary>The mean over all tokens of the sequence.</summary>
    Mean,

    /// <summary>The first token.</summary>
    Cls,

    /// <summary>The last token: the end of text of CLIP's text tower.</summary>
    Eos,

    /// <summary>The largest number of each column; of equal ones the first token's.</summary>
    Max,

    /// <summary>The sum over all tokens, divided by the square root of their number.</summary>
    MeanSqrtLength,

    /// <summary>
    /// The mean with the weights 1, 2, 3, ... from the sequence's first token on (N. Muennighoff, "SGPT", 2022). Padding is no token, so that it changes
    /// nothing wherever it stands; programs that weight by the place in a padded row agree where it stands on the right.
    /// </summary>
    WeightedMean,
}
