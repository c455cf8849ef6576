using CrossAlign.Models.Encoders;
using CrossAlign.Models.Training.Configuration;

namespace CrossAlign.Models.Data;

/// <summary>How texts and pictures enter the towers: alike in training and in evaluation.</summary>
public sealed record TowerInputs
{
    /// <summary>Tokens that a text is cut to, special ones included.</summary>
    public int MaxTokens { get; init; } = int.MaxValue;

    /// <summary>What is put before every text; empty, or ending in the space that parts it from the text.</summary>
    public string Prefix { get; init; } = string.Empty;

    /// <summary>What is subtracted from the channels of pictures and what they are divided by.</summary>
    public PictureNormalization Pictures { get; init; } = PictureNormalization.Scratch;

    /// <summary>The inputs of a run.</summary>
    /// <param name="config">The run's configuration.</param>
    /// <param name="imageFolder">The image tower's folder: the published one, or the checkpoint's copy of it; read only where the tower is a published one.</param>
    /// <param name="image">The image tower; null for none.</param>
    /// <returns>The inputs.</returns>
    /// <exception cref="UserErrorException">The folder's preprocessor file makes no sense.</exception>
    public static TowerInputs Of(RunConfig config, string? imageFolder, ImageEncoderConfig? image)
    {
        ArgumentNullException.ThrowIfNull(config);
        return new TowerInputs
        {
            MaxTokens = config.Tokenizer.MaxTokens,
            Prefix = PrefixOf(config),
            Pictures = config.ImageTower.From is not null && image is not null && imageFolder is not null
                ? PictureNormalization.OfFolder(imageFolder, image)
                : PictureNormalization.Scratch,
        };
    }

    /// <summary>The prefix as it is put before a text.</summary>
    /// <param name="config">The run's configuration.</param>
    /// <returns>Empty, or ending in one space: a prefix never runs into the first word. Normalised as captions are where the tokenizer is trained on these alone.</returns>
    public static string PrefixOf(RunConfig config)
    {
        ArgumentNullException.ThrowIfNull(config);
        string prefix = config.TextTower.Prefix.Trim();
        prefix = config.Tokenizer.Kind == TokenizerSource.Train ? CaptionText.Normalize(CaptionText.UnifyApostrophes(prefix)) : prefix;
        return prefix.Length == 0 ? string.Empty : prefix + " ";
    }
}
