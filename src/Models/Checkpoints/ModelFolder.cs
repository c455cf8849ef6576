using System.Text.Json.Nodes;
using CrossAlign.Kernels;
using CrossAlign.Models.Encoders;
using CrossAlign.Runtime;

namespace CrossAlign.Models.Checkpoints;

/// <summary>
/// A two-tower model on disk: <c>text/</c> and <c>image/</c>, each a published checkpoint folder, and one file with the heads and the
/// scale. What is loaded may also be a single published checkpoint: a text tower, an image tower, or a whole CLIP.
/// </summary>
public static class ModelFolder
{
    /// <summary>The folder of the text tower.</summary>
    public const string TextName = "text";

    /// <summary>The folder of the image tower.</summary>
    public const string ImageName = "image";

    /// <summary>The file of the heads in a training checkpoint.</summary>
    public const string HeadsName = "heads.safetensors";

    /// <summary>The file of the heads in an exported folder.</summary>
    public const string ExportedHeadsName = "crossalign_projection.safetensors";

    private const string HeadsPart = "the model's heads";

    /// <summary>Writes a model. The same weights give the same bytes.</summary>
    /// <param name="model">The model.</param>
    /// <param name="folder">Where; made where it is missing.</param>
    /// <param name="headsName">The file of the heads: <see cref="HeadsName"/> or <see cref="ExportedHeadsName"/>.</param>
    /// <exception cref="UserErrorException">A file cannot be written.</exception>
    public static void Save(TwoTowerModel model, string folder, string headsName = HeadsName)
    {
        ArgumentNullException.ThrowIfNull(model);
        if (model.Text is not null)
        {
            CheckpointFolder.Save(model.Text, Path.Combine(folder, TextName));
        }

        if (model.Image is not null)
        {
            CheckpointFolder.Save(model.Image, Path.Combine(folder, ImageName));
        }

        SafetensorsWriter writer = new SafetensorsWriter()
            .WithMetadata("format", "pt")
            .WithMetadata("image_pooling", PoolingModes.NameOf(model.Options.ImagePooling))
            .WithMetadata("text_pooling", model.Options.TextPooling.Name);
        foreach (Parameter parameter in HeadsOf(model))
        {
            writer.Add(parameter.Name, parameter.Value);
        }

        writer.Save(Path.Combine(folder, headsName));
    }

    /// <summary>Loads what <see cref="Save"/> wrote, in either form, or a single published checkpoint.</summary>
    /// <param name="device">Where the model is to lie.</param>
    /// <param name="folder">The folder.</param>
    /// <param name="reports">What was loaded from where, and what was ignored.</param>
    /// <returns>The model, owned by the caller.</returns>
    /// <exception cref="UserErrorException">The folder holds no model that is known here, or its tensors do not fit; the message names what is wrong.</exception>
    public static TwoTowerModel Load(Device device, string folder, out IReadOnlyList<CheckpointReport> reports) =>
        Load(device, folder, static c => c, static c => c, out reports);

    /// <summary>Loads like <see cref="Load(Device, string, out IReadOnlyList{CheckpointReport})"/>, with the towers' configurations changed where two towers lie in the folder.</summary>
    /// <param name="device">Where the model is to lie.</param>
    /// <param name="folder">The folder.</param>
    /// <param name="text">What becomes of the text tower's configuration: its dropout.</param>
    /// <param name="image">What becomes of the image tower's.</param>
    /// <param name="reports">What was loaded from where, and what was ignored.</param>
    /// <returns>The model, owned by the caller.</returns>
    internal static TwoTowerModel Load(
        Device device,
        string folder,
        Func<TextEncoderConfig, TextEncoderConfig> text,
        Func<ImageEncoderConfig, ImageEncoderConfig> image,
        out IReadOnlyList<CheckpointReport> reports)
    {
        string textFolder = Path.Combine(folder, TextName);
        string imageFolder = Path.Combine(folder, ImageName);
        bool hasText = File.Exists(Path.Combine(textFolder, CheckpointFolder.ConfigName));
        bool hasImage = File.Exists(Path.Combine(imageFolder, CheckpointFolder.ConfigName));
        if (hasText || hasImage)
        {
            return LoadPair(
                device,
                folder,
                hasText ? (textFolder, text(CheckpointFolder.ReadTextArchitecture(textFolder))) : null,
                hasImage ? (imageFolder, image(CheckpointFolder.ReadImageArchitecture(imageFolder))) : null,
                out reports);
        }

        JsonObject config = CheckpointFolder.ReadConfig(folder);
        if (config["model_type"] is JsonValue value && value.TryGetValue(out string? type) && type is "clip")
        {
            return LoadClip(device, folder, out reports);
        }

        return LoadSingle(device, folder, config, out reports);
    }

    /// <summary>Loads the heads and the scale of a model that <see cref="Save"/> wrote.</summary>
    /// <param name="model">A model of the same sizes; its heads and scale are overwritten.</param>
    /// <param name="path">The file.</param>
    /// <returns>What was loaded.</returns>
    /// <exception cref="UserErrorException">Tensors are missing, unexpected or mis-shaped; all are listed.</exception>
    public static CheckpointReport LoadHeads(TwoTowerModel model, string path)
    {
        ArgumentNullException.ThrowIfNull(model);
        using CheckpointTensors tensors = CheckpointTensors.OpenFile(path);
        return CheckpointLoader.Load(tensors, [.. HeadsOf(model)], p => p.Name, HeadsPart);
    }

    private static IEnumerable<Parameter> HeadsOf(TwoTowerModel model) => model.Parameters.Parameters.Where(
        p => p.Group is ParameterGroup.TextHead or ParameterGroup.ImageHead or ParameterGroup.Scale);

    private static TwoTowerModel LoadPair(
        Device device, string folder, (string Folder, TextEncoderConfig Config)? text, (string Folder, ImageEncoderConfig Config)? image, out IReadOnlyList<CheckpointReport> reports)
    {
        string heads = Path.Combine(folder, ExportedHeadsName);
        heads = File.Exists(heads) ? heads : Path.Combine(folder, HeadsName);
        TwoTowerOptions options = ReadOptions(heads);
        List<Part> parts = [];
        if (text is not null)
        {
            parts.Add(TowerPart(text.Value.Folder, text.Value.Config, m => m.Text!));
        }

        if (image is not null)
        {
            parts.Add(TowerPart(image.Value.Folder, image.Value.Config, m => m.Image!));
        }

        parts.Add(new Part(() => CheckpointTensors.OpenFile(heads), m => [.. HeadsOf(m)], p => p.Name, HeadsPart, PublishedExtras.None));
        return Build(device, folder, d => new TwoTowerModel(d, text?.Config, image?.Config, options), parts, out reports);
    }

    private static TwoTowerOptions ReadOptions(string heads)
    {
        using SafetensorsFile file = SafetensorsFile.Open(heads);
        SafetensorsEntry[] weights = [.. ((string[])["text_head.weight", "image_head.weight"]).Where(file.Contains).Select(file.Entry)];
        SafetensorsEntry? weight = Array.Find(weights, w => w.Shape is [> 0 and <= int.MaxValue, _]);
        if (weight is null && weights.Length > 0)
        {
            throw new UserErrorException($"'{heads}': '{weights[0].Name}' is {weights[0].ShapeText}; a head is a matrix", "export the model again");
        }

        return new TwoTowerOptions
        {
            ProjectionWidth = weight is null ? 0 : (int)weight.Shape[0],
            ProjectionBias = file.Contains("text_head.bias") || file.Contains("image_head.bias"),
            TextPooling = PoolingModes.Parse(file.Metadata.GetValueOrDefault("text_pooling", "mean")),
            ImagePooling = PoolingModes.Parse(file.Metadata.GetValueOrDefault("image_pooling", "mean")).Only,
            ScaleName = file.Contains("logit_scale") ? "logit_scale" : file.Contains("temperature") ? "temperature" : null,
            HasLogitBias = file.Contains(TwoTowerModel.LogitBiasName),
        };
    }

    private static TwoTowerModel LoadClip(Device device, string folder, out IReadOnlyList<CheckpointReport> reports)
    {
        SentenceTransformersSettings settings = SentenceTransformersSettings.Read(folder);
        if (settings.Pooling is not null || settings.DenseFolders.Count > 0)
        {
            throw new UserErrorException($"'{folder}' is a whole CLIP and declares modules behind its text tower, which are not computed here", "take its text tower alone");
        }

        TextEncoderConfig text = CheckpointFolder.ReadTextArchitecture(folder);
        ImageEncoderConfig image = CheckpointFolder.ReadImageArchitecture(folder);
        TwoTowerOptions options = new() { ProjectionWidth = text.ProjectionWidth, HasPublishedHeads = true, TextPooling = PoolingKind.Eos, ImagePooling = PoolingKind.Cls };
        return Build(device, folder, d => new TwoTowerModel(d, text, image, options), [WholePart(folder, "a CLIP model", PublishedExtras.Of(text, image))], out reports);
    }

    private static TwoTowerModel LoadSingle(Device device, string folder, JsonObject config, out IReadOnlyList<CheckpointReport> reports)
    {
        bool isImage = EncoderConfigReader.HasImage(config);
        TextEncoderConfig? text = isImage ? null : CheckpointFolder.ReadTextConfig(folder);
        ImageEncoderConfig? image = isImage ? CheckpointFolder.ReadImageConfig(folder) : null;
        SentenceTransformersSettings settings = isImage ? SentenceTransformersSettings.None : SentenceTransformersSettings.Read(folder);

        if (text is not null)
        {
            settings.RequireWidth(folder, text.Width);
        }

        // A pooling that is declared stands in the place of the architecture's own, projection included.
        bool projects = settings.Pooling is null && HasProjection(folder, isImage);
        TwoTowerOptions options = new()
        {
            ProjectionWidth = projects ? image?.ProjectionWidth ?? text!.ProjectionWidth : 0,
            HasPublishedHeads = true,
            TextPooling = settings.Pooling ?? (text is { IsCausal: true } ? PoolingKind.Eos : PoolingKind.Mean),
            ImagePooling = image is { IsClip: true } ? PoolingKind.Cls : PoolingKind.Mean,
            ScaleName = null,
        };
        EncoderConfig tower = isImage ? image! : text!;
        return Build(
            device,
            folder,
            d => new TwoTowerModel(d, text, image, options),
            [WholePart(folder, tower.ModelType, PublishedExtras.Of(tower))],
            out reports,
            settings.DenseFolders);
    }

    private static Part TowerPart(string folder, EncoderConfig config, Func<TwoTowerModel, EncoderTower> tower) =>
        new(() => CheckpointTensors.Open(folder), m => [.. tower(m).OwnParameters], p => p.PublishedName, config.ModelType, PublishedExtras.Of(config));

    private static Part WholePart(string folder, string what, PublishedExtras extras) =>
        new(() => CheckpointTensors.Open(folder), m => m.Parameters.Parameters, CheckpointFolder.NameBesideProjection, what, extras);

    private static bool HasProjection(string folder, bool isImage)
    {
        using CheckpointTensors tensors = CheckpointTensors.Open(folder);
        return tensors.TryGetEntry(isImage ? CheckpointFolder.ImageProjection : CheckpointFolder.TextProjection, out _);
    }

    // Everything is compared with the files before memory is taken.
    private static TwoTowerModel Build(
        Device device, string folder, Func<Device, TwoTowerModel> make, IReadOnlyList<Part> parts, out IReadOnlyList<CheckpointReport> reports, IReadOnlyList<string>? denseFolders = null)
    {
        using (PlanDevice plan = new())
        {
            using TwoTowerModel planned = make(plan);
            CheckpointComparison.RequireAll(folder, [.. parts.Select(p => p.Compare(planned))]);
        }

        TwoTowerModel model = make(device);
        try
        {
            reports = [.. parts.Select(p => p.Load(model))];
            if (denseFolders is { Count: > 0 })
            {
                model.SetTextDense([.. denseFolders.Select(DenseModule.Load)]);
            }

            return model;
        }
        catch
        {
            model.Dispose();
            throw;
        }
    }

    // What of a model comes from where.
    private sealed record Part(
        Func<CheckpointTensors> Open, Func<TwoTowerModel, IReadOnlyList<Parameter>> Parameters, Func<Parameter, string> NameOf, string What, PublishedExtras Extras)
    {
        public CheckpointComparison Compare(TwoTowerModel model)
        {
            using CheckpointTensors tensors = Open();
            return CheckpointComparison.Of(tensors, Parameters(model), NameOf, What, Extras);
        }

        public CheckpointReport Load(TwoTowerModel model)
        {
            using CheckpointTensors tensors = Open();
            return CheckpointLoader.Load(tensors, Parameters(model), NameOf, What, Extras);
        }
    }
}
