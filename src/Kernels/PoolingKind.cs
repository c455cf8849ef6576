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
}
