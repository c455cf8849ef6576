using System.ComponentModel;

namespace CrossAlign.Models.Training.Configuration;

/// <summary>The linear heads into the shared space.</summary>
public sealed record ProjectionConfig
{
    /// <summary>Width of the shared space.</summary>
    [Description("Width of the shared space.")]
    [Bounds(1)]
    public int Width { get; init; } = 512;

    /// <summary>Whether the heads have a bias.</summary>
    [Description("Whether the heads have a bias.")]
    public bool Bias { get; init; }

    /// <summary>What the text head is at the start.</summary>
    [Description("What the text head is at the start: drawn (random); identity (it hands the tower's vector through, so that what a published tower knows is there from the first step; width must be at least the tower's); folder (the linear dense layer that a sentence-transformers folder declares, or the projection of a CLIP; where nothing is given, a CLIP text tower's own).")]
    public HeadStart TextStart { get; init; }

    /// <summary>What the image head is at the start.</summary>
    [Description("What the image head is at the start: drawn, identity, or folder (the projection of a CLIP; where nothing is given, a CLIP image tower's own).")]
    public HeadStart ImageStart { get; init; }
}
