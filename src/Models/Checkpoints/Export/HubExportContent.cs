using CrossAlign.Models.Tokenization;

namespace CrossAlign.Models.Checkpoints.Export;

/// <summary>What an exported folder holds beside the weights.</summary>
public sealed record HubExportContent
{
    /// <summary>The README.</summary>
    public required ModelCard Card { get; init; }

    /// <summary>The tokenizer of a text tower trained from scratch; null where <see cref="TextSource"/> has one.</summary>
    public ITokenizer? Tokenizer { get; init; }

    /// <summary>The published folder that the text tower came from: its tokenizer files are copied. Null for a tower from scratch.</summary>
    public string? TextSource { get; init; }

    /// <summary>The published folder that the image tower came from: its preprocessor file is copied. Null for a tower from scratch.</summary>
    public string? ImageSource { get; init; }

    /// <summary>Mean of each channel of a picture of [0, 1], subtracted before the tower; for a tower from scratch.</summary>
    public IReadOnlyList<double> ImageMean { get; init; } = [0.5, 0.5, 0.5];

    /// <summary>What each channel is divided by; for a tower from scratch.</summary>
    public IReadOnlyList<double> ImageDeviation { get; init; } = [0.5, 0.5, 0.5];

    /// <summary>Whether vectors are compared as unit rows.</summary>
    public bool Normalize { get; init; } = true;

    /// <summary>What is put before a text, by the prompt's name; empty for none.</summary>
    public IReadOnlyDictionary<string, string> Prompts { get; init; } = new SortedDictionary<string, string>(StringComparer.Ordinal);
}
