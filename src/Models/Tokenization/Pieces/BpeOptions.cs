namespace CrossAlign.Models.Tokenization.Pieces;

/// <summary>The settings of a BPE model.</summary>
internal sealed record BpeOptions
{
    /// <summary>The id of what cannot be spelled; null: such characters are dropped.</summary>
    public int? UnknownId { get; init; }

    /// <summary>Characters that have no piece become one <c>&lt;0xNN&gt;</c> piece a byte.</summary>
    public bool ByteFallback { get; init; }

    /// <summary>Neighbouring unknown characters become one unknown token.</summary>
    public bool FuseUnknown { get; init; }

    /// <summary>A word that is a piece as a whole is taken as it is, whatever the merges say.</summary>
    public bool IgnoreMerges { get; init; }

    /// <summary>Put in front of every character but the first of a word.</summary>
    public string ContinuingPrefix { get; init; } = "";

    /// <summary>Put after the last character of a word.</summary>
    public string EndOfWordSuffix { get; init; } = "";
}
