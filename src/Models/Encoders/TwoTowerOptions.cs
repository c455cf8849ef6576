using CrossAlign.Kernels;

namespace CrossAlign.Models.Encoders;

/// <summary>What a two-tower model has beside its towers.</summary>
public sealed record TwoTowerOptions
{
    /// <summary>The shared width E; 0 for no heads: the pooled rows themselves are the vectors.</summary>
    public int ProjectionWidth { get; init; } = 512;

    /// <summary>Whether the heads have a bias.</summary>
    public bool ProjectionBias { get; init; }

    /// <summary>Whether the heads have CLIP's published names, <c>text_projection</c> and <c>visual_projection</c>, and not <c>text_head</c> and <c>image_head</c>.</summary>
    public bool HasPublishedHeads { get; init; }

    /// <summary>How a text's rows become its vector; several poolings for embedding alone.</summary>
    public PoolingModes TextPooling { get; init; } = PoolingKind.Mean;

    /// <summary>How a picture's rows, class token first, become its vector.</summary>
    public PoolingKind ImagePooling { get; init; } = PoolingKind.Mean;

    /// <summary>The name of the learned multiplier's tensor: <c>logit_scale</c> where it holds the logarithm, <c>temperature</c> for the paper's raw multiplier; null for none.</summary>
    public string? ScaleName { get; init; } = "logit_scale";

    /// <summary>Whether a learned number is added to every similarity, as the sigmoid losses do; its tensor is <c>logit_bias</c>.</summary>
    public bool HasLogitBias { get; init; }
}
