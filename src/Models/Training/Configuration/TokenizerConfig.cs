using System.ComponentModel;

namespace CrossAlign.Models.Training.Configuration;

/// <summary>Where the tokenizer comes from.</summary>
public sealed record TokenizerConfig
{
    /// <summary>Trained on the run's captions, or read from a file.</summary>
    [Description("train: on the training captions of the run's languages; file: from path, or from the text tower's folder.")]
    public TokenizerSource Kind { get; init; } = TokenizerSource.Train;

    /// <summary>Vocabulary size of a trained tokenizer.</summary>
    [Description("Vocabulary size of a trained tokenizer.")]
    public int Pieces { get; init; } = 8000;

    /// <summary>A <c>tokenizer.json</c> or SentencePiece <c>.model</c> file, or a folder with one.</summary>
    [Description("A tokenizer.json or SentencePiece .model file, or a folder with one.")]
    public string? Path { get; init; }

    /// <summary>Tokens that a caption is cut to, special tokens included.</summary>
    [Description("Tokens that a caption is cut to, special tokens included.")]
    public int MaxTokens { get; init; } = 16;
}
