using CrossAlign.Models.Encoders;
using CrossAlign.Models.Experiments;

namespace CrossAlign.Cli;

/// <summary>What <c>embed</c> was asked for. Null follows what the model's folder declares.</summary>
internal sealed record EmbedRequest
{
    /// <summary>The model.</summary>
    public required ModelSource Source { get; init; }

    /// <summary>The model as it was named, for the file's metadata.</summary>
    public required string Name { get; init; }

    public PoolingModes? Pooling { get; init; }

    public bool? Normalize { get; init; }

    public bool Project { get; init; } = true;

    /// <summary>Put before every text.</summary>
    public string? Prefix { get; init; }

    /// <summary>The name of a declared prompt.</summary>
    public string? Prompt { get; init; }

    public int BatchTokens { get; init; } = 4096;

    /// <summary>Whether what cannot be read is left out and listed.</summary>
    public bool SkipBad { get; init; }

    /// <summary>The file of vectors.</summary>
    public required string Output { get; init; }
}
