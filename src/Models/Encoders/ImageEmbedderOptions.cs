using CrossAlign.Kernels;
using CrossAlign.Models.Images;

namespace CrossAlign.Models.Encoders;

/// <summary>How pictures become vectors. What is left out follows the model.</summary>
public sealed record ImageEmbedderOptions
{
    /// <summary>How a picture's rows, class token first, become its vector; null: as the model's options say.</summary>
    public PoolingKind? Pooling { get; init; }

    /// <summary>Whether vectors are divided by their Euclidean norm; null: as those of the model's texts, else yes.</summary>
    public bool? Normalize { get; init; }

    /// <summary>Whether the head is applied where the model has one.</summary>
    public bool Project { get; init; } = true;

    /// <summary>About how many tokens go through the tower at once; a picture has one a patch and one more.</summary>
    public int BatchTokens { get; init; } = 4096;

    /// <summary>What decodes files.</summary>
    public IImageDecoder Decoder { get; init; } = ImageDecoder.Current;
}
