using System.Globalization;
using CrossAlign.Models.Checkpoints;
using CrossAlign.Models.Checkpoints.Hub;
using CrossAlign.Models.Encoders;
using CrossAlign.Models.Experiments;
using CrossAlign.Models.Images;

namespace CrossAlign.Models.Training.Configuration;

/// <summary>Fills a configuration from the checkpoint folders that its towers start from, so that <c>config.json</c> of a run says what was trained.</summary>
internal static class PublishedTowers
{
    /// <summary>Takes over what the folders decide.</summary>
    /// <param name="config">The configuration.</param>
    /// <param name="given">Dotted paths of the keys that a person has given: they must not contradict the folders.</param>
    /// <param name="cache">The value of <c>--cache</c>, or null: where towers named as on the public hub are looked up.</param>
    /// <returns>The configuration with the towers' kinds and sizes; the same one where both towers start from scratch.</returns>
    /// <exception cref="UserErrorException">A folder holds no tower of that side, or a given key says otherwise; the message names the key.</exception>
    public static RunConfig Resolve(RunConfig config, IReadOnlySet<string> given, string? cache)
    {
        if (config.TextTower.From is string text)
        {
            config = config with
            {
                TextTower = Text(config.TextTower, Find("textTower.from", text, cache).TextFolder, given),
                Tokenizer = given.Contains("tokenizer.kind") ? config.Tokenizer : config.Tokenizer with { Kind = TokenizerSource.File },
            };
        }

        if (config.Tokenizer is { Kind: TokenizerSource.File, Path: string path } && !File.Exists(path))
        {
            config = config with { Tokenizer = config.Tokenizer with { Path = Find("tokenizer.path", path, cache).TextFolder } };
        }

        if (config.ImageTower.From is string image && config.Objective == Objective.ImageText)
        {
            config = config with { ImageTower = Image(config.ImageTower, ImageFolder(Find("imageTower.from", image, cache)), given) };
        }

        config = config with { Projection = Heads(config, given) };
        return config with { Loss = Scale(config, given) };
    }

    // A whole CLIP, heads included, goes on with its own multiplier.
    private static LossConfig Scale(RunConfig config, IReadOnlySet<string> given)
    {
        if (config is not { Projection: { TextStart: HeadStart.Folder, ImageStart: HeadStart.Folder }, TextTower: { From: string folder, Kind: "clip_text_model" } }
            || folder != config.ImageTower.From || given.Contains("loss.scaleInit") || LossOptions.IsSigmoid(config.Loss.Variant))
        {
            return config.Loss;
        }

        using CheckpointTensors tensors = CheckpointTensors.Open(folder);
        return tensors.TryGetEntry("logit_scale", out SafetensorsEntry? entry) && entry.Count == 1 && Math.Exp(tensors.ReadSingles("logit_scale")[0]) is double scale and > 0 && double.IsFinite(scale)
            ? config.Loss with { ScaleInit = Math.Min(scale, config.Loss.ScaleMax ?? double.MaxValue) }
            : config.Loss;
    }

    // A CLIP's towers are published with the layer behind them: that is where their heads begin, as wide as it is, unless something else is asked for.
    private static ProjectionConfig Heads(RunConfig config, IReadOnlySet<string> given)
    {
        ProjectionConfig heads = config.Projection;
        bool widthIsOpen = !given.Contains("projection.width");
        if (config.TextTower is { From: string text, Kind: "clip_text_model", Pooling: "eos" } && !given.Contains("projection.textStart"))
        {
            heads = Begin(heads, text, CheckpointFolder.TextProjection, ref widthIsOpen) is int width ? heads with { Width = width, TextStart = HeadStart.Folder } : heads;
        }

        if (config.Objective == Objective.ImageText
            && config.ImageTower is { From: string image, Kind: "clip_vision_model", Pooling: "cls" } && !given.Contains("projection.imageStart"))
        {
            heads = Begin(heads, image, CheckpointFolder.ImageProjection, ref widthIsOpen) is int width ? heads with { Width = width, ImageStart = HeadStart.Folder } : heads;
        }

        return heads;

        static int? Begin(ProjectionConfig heads, string folder, string name, ref bool widthIsOpen)
        {
            using CheckpointTensors tensors = CheckpointTensors.Open(folder);
            if (!tensors.TryGetEntry(name, out SafetensorsEntry? entry) || (entry.Shape[0] != heads.Width && !widthIsOpen))
            {
                return null;
            }

            widthIsOpen = false;
            return (int)entry.Shape[0];
        }
    }

    // What the run pools by: as given, else as the folder declares, else as the architecture does.
    private static string PoolingOf(string folder, TextEncoderConfig tower, string? given)
    {
        SentenceTransformersSettings settings;
        string pooling;
        try
        {
            settings = SentenceTransformersSettings.Read(folder);
            pooling = given ?? PoolingModes.NameOf((settings.Pooling ?? (tower.IsCausal ? Kernels.PoolingKind.Eos : Kernels.PoolingKind.Mean)).Only);
        }
        catch (UserErrorException) when (given is not null)
        {
            return given;
        }
        catch (UserErrorException e)
        {
            throw new UserErrorException($"'textTower.from': {e.What}", "give textTower.pooling, and the run pools by that", e);
        }

        try
        {
            settings.RequireWidth(folder, tower.Width);
            return pooling;
        }
        catch (UserErrorException e)
        {
            throw new UserErrorException($"'textTower.from': {e.What}", e.Remedy, e);
        }
    }

    /// <summary>What people call the model that a tower's folder belongs to.</summary>
    /// <param name="folder">A published folder, one of the cache, or a tower of an export or of a run's checkpoint.</param>
    /// <returns>The last part of the path that is not just a side, a step or a commit.</returns>
    public static string NameOf(string folder)
    {
        string path = Path.TrimEndingDirectorySeparator(folder);
        if (Path.GetFileName(path) is ModelFolder.TextName or ModelFolder.ImageName && Path.GetDirectoryName(path) is string above)
        {
            path = above;
        }

        // RUN/checkpoints/step-00000200
        string? checkpoints = Path.GetDirectoryName(path);
        if (Path.GetFileName(checkpoints) == "checkpoints" && Path.GetDirectoryName(checkpoints) is string run)
        {
            path = run;
        }

        return HubModels.IdOf(path)?.Split('/')[1] ?? Path.GetFileName(path);
    }

    private static ModelSource Find(string key, string from, string? cache)
    {
        try
        {
            return ModelSource.Find(from, cache);
        }
        catch (UserErrorException e)
        {
            throw new UserErrorException($"'{key}': {e.What}", e.Remedy, e);
        }
    }

    // How pictures enter a tower is a part of it. A run's tower from scratch has its own way, which older checkpoints do not say.
    private static string ImageFolder(ModelSource source) => source.Config is { ImageTower.From: null } && ImagePreprocessor.FileIn(source.ImageFolder) is null
        ? throw new UserErrorException(
            $"'imageTower.from': the checkpoint '{source.Folder}' does not say how its pictures are prepared", "export the run and name that folder: crossalign export RUN --out DIR")
        : source.ImageFolder;

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
            Pooling = PoolingOf(folder, found, given.Contains($"{Name}.pooling") ? tower.Pooling : null),
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
            Pooling = found.IsClip && !given.Contains($"{Name}.pooling") ? "cls" : tower.Pooling,
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
