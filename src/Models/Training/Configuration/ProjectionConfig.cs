using System.ComponentModel;

namespace CrossAlign.Models.Training.Configuration;

/// <summary>The linear heads into the shared space.</summary>
public sealed record ProjectionConfig
{
    /// <summary>Width of the shared space.</summary>
    [Description("Width of the shared space.")]
    public int Width { get; init; } = 512;

    /// <summary>Whether the heads have a bias.</summary>
    [Description("Whether the heads have a bias.")]
    public bool Bias { get; init; }
}
