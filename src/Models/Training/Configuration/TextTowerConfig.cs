using System.ComponentModel;

namespace CrossAlign.Models.Training.Configuration;

/// <summary>The tower that reads captions: a published checkpoint, or one built from sizes.</summary>
public sealed record TextTowerConfig
{
    /// <summary>A published checkpoint folder, whose <c>config.json</c> then decides the architecture; null to start from scratch.</summary>
    [Description("A published checkpoint folder to tune; null to start from scratch.")]
    public string? From { get; init; }

    /// <summary>Architecture of a tower from scratch, as published configurations name it.</summary>
    [Description("Architecture of a tower from scratch (model_type of its config.json).")]
    public string Kind { get; init; } = "roberta-prelayernorm";

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

    /// <summary>How token vectors become one vector.</summary>
    [Description("mean, cls or eos.")]
    public string Pooling { get; init; } = "mean";

    /// <summary>Which weights stay as they are.</summary>
    [Description("none, all, or lowest:N (embeddings and the lowest N blocks).")]
    public string Freeze { get; init; } = "none";
}
