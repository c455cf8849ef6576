using System.ComponentModel;

namespace CrossAlign.Models.Training.Configuration;

/// <summary>The tower that reads captions: a published checkpoint, or one built from sizes.</summary>
public sealed record TextTowerConfig
{
    /// <summary>
    /// What to start from, whose <c>config.json</c> then decides the architecture: a published checkpoint folder, the name of a fetched model, a run
    /// or an exported folder; null to start from scratch.
    /// </summary>
    [Description("What to tune, whose config.json decides kind and sizes: a published checkpoint folder, ORGANISATION/NAME of a model that was fetched, a run, or an exported folder; null to start from scratch.")]
    public string? From { get; init; }

    /// <summary>Architecture of a tower from scratch, as published configurations name it.</summary>
    [Description("Architecture of a tower from scratch (model_type of its config.json).")]
    [Choices("roberta-prelayernorm", "xlm-roberta", "roberta", "bert", "clip_text_model")]
    public string Kind { get; init; } = "roberta-prelayernorm";

    /// <summary>Channels.</summary>
    [Description("Channels.")]
    [Bounds(1)]
    public int Width { get; init; } = 96;

    /// <summary>Encoder blocks.</summary>
    [Description("Encoder blocks.")]
    [Bounds(1)]
    public int Layers { get; init; } = 1;

    /// <summary>Attention heads; a divisor of the width.</summary>
    [Description("Attention heads; a divisor of the width.")]
    [Bounds(1)]
    public int Heads { get; init; } = 4;

    /// <summary>Channels inside the feed-forward part.</summary>
    [Description("Channels inside the feed-forward part.")]
    [Bounds(1)]
    public int FeedForward { get; init; } = 192;

    /// <summary>Dropout everywhere in the tower while it is trained; null for what a published tower's <c>config.json</c> says, none from scratch.</summary>
    [Description("Dropout while the tower is trained; null for what the checkpoint's config.json says (none from scratch).")]
    [Bounds(0, 0.999)]
    public double? Dropout { get; init; }

    /// <summary>What is put before every text, in training and in evaluation: instruction-tuned encoders want it.</summary>
    [Description("Put before every text, in training and evaluation (multilingual-e5 wants 'query: '); empty for none.")]
    public string Prefix { get; init; } = string.Empty;

    /// <summary>How token vectors become one vector.</summary>
    [Description("mean, cls (the first token), eos (the last), max, mean_sqrt_len_tokens or weightedmean; for a published tower what its folder declares where nothing is given (eos for CLIP's).")]
    [Choices("mean", "cls", "eos", "max", "mean_sqrt_len_tokens", "weightedmean")]
    public string Pooling { get; init; } = "mean";

    /// <summary>Which weights of a published tower stay as they are. A tower that is frozen whole drops nothing, and its vectors are computed once for each input that repeats.</summary>
    [Description("What of a published tower stays as it is: none, all, or lowest:N (embeddings and the lowest N blocks, N at least 1).")]
    [Pattern("none|all|lowest:[1-9][0-9]{0,3}", Remedy = "give none, all or lowest:N with N at least 1")]
    public string Freeze { get; init; } = "none";
}
