using CrossAlign.Models.Images;
using CrossAlign.Models.Tokenization;

namespace CrossAlign.Models.Checkpoints.Export;

/// <summary>What an exported folder holds beside the weights.</summary>
public sealed record HubExportContent
{
    /// <summary>The README.</summary>
    public required ModelCard Card { get; init; }

    /// <summary>The tokenizer of a text tower trained from scratch; null where <see cref="TextSource"/> has one.</summary>
    public ITokenizer? Tokenizer { get; init; }

    /// <summary>Whether the texts that the tokenizer was trained on were normalised as captions are: then its file says so, and takes raw texts.</summary>
    public bool NormalizesCaptions { get; init; }

    /// <summary>The published folder that the text tower came from: its tokenizer files are copied. Null for a tower from scratch.</summary>
    public string? TextSource { get; init; }

    /// <summary>The published folder that the image tower came from: its files are copied, the preprocessor's at <see cref="ImageSize"/>. Null for a tower from scratch.</summary>
    public string? ImageSource { get; init; }

    /// <summary>Height and width of the pictures that the image tower is given; null: those of its own position embeddings, which are interpolated for others.</summary>
    public int? ImageSize { get; init; }

    /// <summary>How pictures are prepared for the image tower: written where <see cref="ImageSource"/> has no such file, and said on the card; null: the standard of ViT at the tower's size.</summary>
    public ImagePreprocessor? Preprocessor { get; init; }

    /// <summary>What the text tower's folder declares beside its pooling, which is the model's: normalisation, prompts, the longest text (the tower's where it is null).</summary>
    public SentenceTransformersSettings Settings { get; init; } = new() { Normalize = true };
}
