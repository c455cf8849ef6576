using System.Text.Json.Nodes;
using CrossAlign.Kernels;

namespace CrossAlign.Models.Encoders;

/// <summary>What text and image towers have in common: the sizes of the transformer encoder, as a published <c>config.json</c> states them.</summary>
public abstract record EncoderConfig
{
    /// <summary>The published name of the architecture: <c>xlm-roberta</c>, <c>vit</c> and so on.</summary>
    public required string ModelType { get; init; }

    /// <summary>Width C.</summary>
    public required int Width { get; init; }

    /// <summary>Number of blocks.</summary>
    public required int Layers { get; init; }

    /// <summary>Number of attention heads NH; divides <see cref="Width"/>.</summary>
    public required int Heads { get; init; }

    /// <summary>Width of the feed-forward layer.</summary>
    public required int FeedForward { get; init; }

    /// <summary>The feed-forward layer's activation.</summary>
    public GeluKind Activation { get; init; } = GeluKind.Erf;

    /// <summary>Added to the variance in every LayerNorm.</summary>
    public float NormEpsilon { get; init; } = 1e-5f;

    /// <summary>Dropout of embeddings and of what a block adds; acts in training only.</summary>
    public float HiddenDropout { get; init; }

    /// <summary>Dropout of attention weights; acts in training only.</summary>
    public float AttentionDropout { get; init; }

    /// <summary>The width of the projection that the checkpoint itself has behind the tower (CLIP); 0 for none.</summary>
    public int ProjectionWidth { get; init; }

    /// <summary>
    /// Whether the checkpoint has the published pooler (a dense layer on the first row), which nothing here computes: it is kept and
    /// written back, so that the published framework finds every tensor that it looks for.
    /// </summary>
    public bool HasPooler { get; init; }

    /// <summary>Whether a block normalises its input (pre-LN) rather than its sums (post-LN).</summary>
    public bool IsPreNorm => ModelType is not ("bert" or "roberta" or "xlm-roberta");

    /// <summary>The published configuration, complete: what is written to <c>config.json</c>.</summary>
    public required JsonObject Published { get; init; }
}
