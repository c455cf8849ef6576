using System.ComponentModel;

namespace CrossAlign.Models.Training.Configuration;

/// <summary>The contrastive loss.</summary>
public sealed record LossConfig
{
    /// <summary>Which form.</summary>
    [Description("captionToImage (the paper's: raw dot products), imageToCaption, symmetric, each also ...Normalized (unit rows); sigmoid, sigmoidNormalized.")]
    public LossVariant Variant { get; init; } = LossVariant.SymmetricNormalized;

    /// <summary>The multiplier of similarities at the start.</summary>
    [Description("The multiplier of similarities at the start (1 / temperature); a sigmoid variant starts from 10, as SigLIP does, where nothing else is given.")]
    [Bounds(0, IsAbove = true)]
    public double ScaleInit { get; init; } = 14.2857;

    /// <summary>Whether the multiplier is learned.</summary>
    [Description("Whether the multiplier is learned.")]
    public bool ScaleLearned { get; init; } = true;

    /// <summary>Upper bound of the multiplier; null for none.</summary>
    [Description("Upper bound of the multiplier; null for none.")]
    [Bounds(0, IsAbove = true)]
    public double? ScaleMax { get; init; } = 100;

    /// <summary>Whether the logarithm of the multiplier is learned (as CLIP does) or the multiplier itself (as the paper's code).</summary>
    [Description("log: its logarithm is learned (CLIP); raw: the multiplier itself (the paper's code).")]
    public ScaleParameter ScaleParameter { get; init; } = ScaleParameter.Log;

    /// <summary>What the sigmoid forms add to every similarity, at the start; it is learned.</summary>
    [Description("What the sigmoid forms add to every similarity, at the start; learned with the multiplier's learning rate.")]
    [Bounds(double.NegativeInfinity)]
    public double BiasInit { get; init; } = -10;

    /// <summary>Label smoothing.</summary>
    [Description("Label smoothing: 1 - e on the positives, e spread evenly.")]
    [Bounds(0, 0.999)]
    public double Smoothing { get; init; }

    /// <summary>What happens to other examples of the same group.</summary>
    [Description("none: they are negatives; masked: they are left out; shared: they are positives, shared equally.")]
    public GroupPolicy Groups { get; init; } = GroupPolicy.None;

    /// <summary>How far a negative's similarity may exceed the positive's before it is dropped as a likely false one; null keeps all.</summary>
    [Description("How far a negative's similarity may exceed the positive's (as cosines, where rows are normalised) before it is dropped as a likely false one; null keeps all.")]
    [Bounds(0)]
    public double? FalseNegativeMargin { get; init; }

    /// <summary>Matryoshka: how many leading coordinates each term of the loss looks at; empty for one term over all.</summary>
    [Description("Matryoshka: widths of leading coordinates; the mean of the loss over them is trained, so that vectors may be cut to them. Empty: the whole width alone. Each width costs its own products.")]
    [Widths]
    public IReadOnlyList<int> PrefixWidths { get; init; } = [];
}
