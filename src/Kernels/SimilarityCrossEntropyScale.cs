namespace CrossAlign.Kernels;

/// <summary>How the learned multiplier of the similarities is stored.</summary>
public enum SimilarityCrossEntropyScale
{
    /// <summary>The tensor holds <c>logScale</c>; similarities are multiplied by <c>min(exp(logScale), MaxScale)</c>. Where the
    /// minimum cuts, the gradient of logScale is zero.</summary>
    Logarithm,

    /// <summary>The tensor holds the multiplier itself, without a bound (the paper's published code).</summary>
    Multiplier,
}
