namespace CrossAlign.Models.Evaluation;

/// <summary>What the entropy of the effective rank is taken of.</summary>
public enum EffectiveRankKind
{
    /// <summary>p = s^2 / sum s^2, s the singular values.</summary>
    Energy,

    /// <summary>p = s / sum s (Roy and Vetterli 2007).</summary>
    RoyVetterli,
}
