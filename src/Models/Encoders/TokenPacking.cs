namespace CrossAlign.Models.Encoders;

/// <summary>How the ids of a text become rows of a packed batch: which positions they get, which are left out, how long a text may be.</summary>
/// <param name="MaxTokens">The most tokens of a text; a longer one keeps its first tokens and its last, and is counted.</param>
/// <param name="PositionsFollowPad">Positions count real tokens from <paramref name="PadTokenId"/> + 1, and a pad sits on <paramref name="PadTokenId"/> (RoBERTa); else they count from 0.</param>
/// <param name="PadTokenId">The id of the padding token.</param>
/// <param name="EndTokenId">Where a text is cut off, for a causal tower that is read out at its end: -1 for never, -2 at the first place of its highest id, else at the first place of this id.</param>
public sealed record TokenPacking(int MaxTokens, bool PositionsFollowPad, int PadTokenId, int EndTokenId = -1)
{
    /// <summary><see cref="EndTokenId"/>: the first place of the text's highest id.</summary>
    public const int EndAtHighestId = -2;

    /// <summary>
    /// A defect of the paper's published code, to reproduce it: the attention mask is <c>id != 0</c>, which hides
    /// <c>&lt;s&gt;</c> as a key and from the mean, and lets pads be attended and averaged.
    /// </summary>
    public bool MaskTokenZero { get; init; }

    /// <summary>
    /// The published code's fixed length: texts are padded to this many tokens. Without <see cref="MaskTokenZero"/> pads change
    /// nothing and are not even packed; with it they become rows. 0 for none.
    /// </summary>
    public int PadTo { get; init; }

    /// <summary>The packing that belongs to a tower.</summary>
    /// <param name="config">The tower's configuration.</param>
    /// <returns>The packing, without the published code's defects.</returns>
    public static TokenPacking For(TextEncoderConfig config)
    {
        ArgumentNullException.ThrowIfNull(config);
        int end = !config.IsCausal ? -1 : config.EosTokenId == 2 ? EndAtHighestId : config.EosTokenId;
        return new TokenPacking(config.MaxTokens, config.PositionsFollowPad, config.PadTokenId, end);
    }
}
