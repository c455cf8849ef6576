using System.ComponentModel;

namespace CrossAlign.Models.Training.Configuration;

/// <summary>The tower that sees pictures: a published checkpoint, or one built from sizes.</summary>
public sealed record ImageTowerConfig
{
    /// <summary>A published checkpoint folder, whose <c>config.json</c> then decides the architecture; null to start from scratch.</summary>
    [Description("A published checkpoint folder to tune; null to start from scratch.")]
    public string? From { get; init; }

    /// <summary>Architecture of a tower from scratch, as published configurations name it.</summary>
    [Description("Architecture of a tower from scratch (model_type of its config.json).")]
    public string Kind { get; init; } = "vit";

    /// <summary>Side of the pictures in pixels.</summary>
    [Description("Side of the pictures in pixels.")]
    public int ImageSize { get; init; } = 32;

    /// <summary>Side of a patch in pixels.</summary>
    [Description("Side of a patch in pixels.")]
    public int PatchSize { get; init; } = 8;

    /// <summary>Channels.</summary>
    [Description("Channels.")]
    public int Width { get; init; } = 96;

    /// <summary>Encoder blocks.</summary>
    [Description("Encoder blocks.")]
    public int Layers { get; init; } = 1;

    /// <summary>Attention heads; a divisor of the width.</summary>
    [Description("Attention heads; a divisor of the width.")]
    public int Heads { get; init; } = 4;

    /// <summary>Channels inside the feed-forward part.</summary>
    [Description("Channels inside the feed-forward part.")]
    public int FeedForward { get; init; } = 192;

    /// <summary>How patch vectors become one vector.</summary>
    [Description("mean (all tokens, the class token included) or cls.")]
    public string Pooling { get; init; } = "mean";

    /// <summary>Which weights stay as they are.</summary>
    [Description("none, all, or lowest:N (embeddings and the lowest N blocks).")]
    public string Freeze { get; init; } = "none";
}
