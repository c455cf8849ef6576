using System.Globalization;
using CrossAlign.Models.Checkpoints;
using CrossAlign.Models.Encoders;

namespace CrossAlign.Models.Training.Configuration;

/// <summary>Fills a configuration from the checkpoint folders that its towers start from, so that <c>config.json</c> of a run says what was trained.</summary>
internal static class PublishedTowers
{
    /// <summary>Takes over what the folders decide.</summary>
    /// <param name="config">The configuration.</param>
    /// <param name="given">Dotted paths of the keys that a person has given: they must not contradict the folders.</param>
    /// <returns>The configuration with the towers' kinds and sizes; the same one where both towers start from scratch.</returns>
    /// <exception cref="UserErrorException">A folder holds no tower of that side, or a given key says otherwise; the message names the key.</exception>
    public static RunConfig Resolve(RunConfig config, IReadOnlySet<string> given)
    {
        if (config.TextTower.From is string text)
        {
            config = config with
            {
                TextTower = Text(config.TextTower, Path.GetFullPath(text), given),
                Tokenizer = given.Contains("tokenizer.kind") ? config.Tokenizer : config.Tokenizer with { Kind = TokenizerSource.File },
            };
        }

        return config.ImageTower.From is string image && config.Objective == Objective.ImageText
            ? config with { ImageTower = Image(config.ImageTower, Path.GetFullPath(image), given) }
            : config;
    }

    private static TextTowerConfig Text(TextTowerConfig tower, string folder, IReadOnlySet<string> given)
    {
        TextEncoderConfig found = ReadText(folder);
        const string Name = "textTower";
        Agree(given, $"{Name}.kind", tower.Kind, found.ModelType, folder);
        AgreeOnSizes(given, Name, (tower.Width, tower.Layers, tower.Heads, tower.FeedForward), found, folder);
        return tower with
        {
            From = folder,
            Kind = found.ModelType,
            Width = found.Width,
            Layers = found.Layers,
            Heads = found.Heads,
            FeedForward = found.FeedForward,
        };
    }

    private static ImageTowerConfig Image(ImageTowerConfig tower, string folder, IReadOnlySet<string> given)
    {
        ImageEncoderConfig found = ReadImage(folder);
        const string Name = "imageTower";
        Agree(given, $"{Name}.kind", tower.Kind, found.ModelType, folder);
        Agree(given, $"{Name}.patchSize", tower.PatchSize, found.PatchSize, folder);
        AgreeOnSizes(given, Name, (tower.Width, tower.Layers, tower.Heads, tower.FeedForward), found, folder);
        return tower with
        {
            From = folder,
            Kind = found.ModelType,

            // Another size than the tower's own is possible: its positions are interpolated.
            ImageSize = given.Contains($"{Name}.imageSize") ? tower.ImageSize : found.ImageSize,
            PatchSize = found.PatchSize,
            Width = found.Width,
            Layers = found.Layers,
            Heads = found.Heads,
            FeedForward = found.FeedForward,
        };
    }

    /// <summary>The text tower of a folder.</summary>
    /// <param name="folder">A published checkpoint folder.</param>
    /// <returns>Its configuration.</returns>
    /// <exception cref="UserErrorException">The folder has no text tower; the message names the key.</exception>
    internal static TextEncoderConfig ReadText(string folder) => EncoderConfigReader.HasText(ReadConfig(folder, "textTower.from"))
        ? CheckpointFolder.ReadTextConfig(folder)
        : throw NoTower("textTower.from", folder, "text");

    /// <summary>The image tower of a folder.</summary>
    /// <param name="folder">A published checkpoint folder.</param>
    /// <returns>Its configuration.</returns>
    /// <exception cref="UserErrorException">The folder has no image tower; the message names the key.</exception>
    internal static ImageEncoderConfig ReadImage(string folder) => EncoderConfigReader.HasImage(ReadConfig(folder, "imageTower.from"))
        ? CheckpointFolder.ReadImageConfig(folder)
        : throw NoTower("imageTower.from", folder, "image");

    private static System.Text.Json.Nodes.JsonObject ReadConfig(string folder, string key) => Directory.Exists(folder)
        ? CheckpointFolder.ReadConfig(folder)
        : throw new UserErrorException($"'{key}': there is no folder '{folder}'", "name a checkpoint folder with config.json and model.safetensors");

    private static UserErrorException NoTower(string key, string folder, string kind) =>
        new($"'{key}': '{folder}' holds no {kind} tower that is known here", "name the folder of an xlm-roberta, roberta, bert or clip text tower, or of a vit or clip image tower");

    private static void AgreeOnSizes(
        IReadOnlySet<string> given, string name, (int Width, int Layers, int Heads, int FeedForward) asked, EncoderConfig found, string folder)
    {
        Agree(given, $"{name}.width", asked.Width, found.Width, folder);
        Agree(given, $"{name}.layers", asked.Layers, found.Layers, folder);
        Agree(given, $"{name}.heads", asked.Heads, found.Heads, folder);
        Agree(given, $"{name}.feedForward", asked.FeedForward, found.FeedForward, folder);
    }

    private static void Agree<T>(IReadOnlySet<string> given, string key, T asked, T found, string folder)
        where T : IEquatable<T>
    {
        if (given.Contains(key) && !asked.Equals(found))
        {
            throw new UserErrorException(
                string.Create(CultureInfo.InvariantCulture, $"'{key}' is {asked}, but the tower of '{folder}' has {found}"), "leave it out: the checkpoint's config.json decides");
        }
    }
}
