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
                hasText ? (textFolder, text(CheckpointFolder.ReadTextConfig(textFolder))) : null,
                hasImage ? (imageFolder, image(CheckpointFolder.ReadImageConfig(imageFolder))) : null,
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
        return CheckpointLoader.Load(tensors, [.. HeadsOf(model)], p => p.Name, "the model's heads");
    }

    private static IEnumerable<Parameter> HeadsOf(TwoTowerModel model) => model.Parameters.Parameters.Where(
        p => p.Group is ParameterGroup.TextHead or ParameterGroup.ImageHead or ParameterGroup.Scale);

    private static TwoTowerModel LoadPair(
        Device device, string folder, (string Folder, TextEncoderConfig Config)? text, (string Folder, ImageEncoderConfig Config)? image, out IReadOnlyList<CheckpointReport> reports)
    {
        string heads = Path.Combine(folder, ExportedHeadsName);
        heads = File.Exists(heads) ? heads : Path.Combine(folder, HeadsName);
        TwoTowerOptions options = ReadOptions(heads);
        return Build(device, d => new TwoTowerModel(d, text?.Config, image?.Config, options), Load, out reports);

        IEnumerable<CheckpointReport> Load(TwoTowerModel model)
        {
            if (text is not null)
            {
                yield return CheckpointFolder.Load(text.Value.Folder, model.Text!);
            }

            if (image is not null)
            {
                yield return CheckpointFolder.Load(image.Value.Folder, model.Image!);
            }

            yield return LoadHeads(model, heads);
        }
    }

    private static TwoTowerOptions ReadOptions(string heads)
    {
        using SafetensorsFile file = SafetensorsFile.Open(heads);
        SafetensorsEntry? weight = file.TryGetEntry("text_head.weight", out SafetensorsEntry? t) ? t
            : file.TryGetEntry("image_head.weight", out SafetensorsEntry? i) ? i : null;
        if (weight is not null && (weight.Shape.Count != 2 || weight.Shape[0] is < 1 or > int.MaxValue))
        {
            throw new UserErrorException($"'{heads}': '{weight.Name}' is {weight.ShapeText}; a head is a matrix", "export the model again");
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

        TextEncoderConfig text = CheckpointFolder.ReadTextConfig(folder);
        ImageEncoderConfig image = CheckpointFolder.ReadImageConfig(folder);
        TwoTowerOptions options = new() { ProjectionWidth = text.ProjectionWidth, HasPublishedHeads = true, TextPooling = PoolingKind.Eos, ImagePooling = PoolingKind.Cls };
        return Build(device, d => new TwoTowerModel(d, text, image, options), model => [LoadAll(folder, model, "a CLIP model", PublishedExtras.Of(text, image))], out reports);
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
            d => new TwoTowerModel(d, text, image, options),
            model => [LoadAll(folder, model, tower.ModelType, PublishedExtras.Of(tower))],
            out reports,
            settings.DenseFolders);
    }

    private static CheckpointReport LoadAll(string folder, TwoTowerModel model, string what, PublishedExtras extras)
    {
        using CheckpointTensors tensors = CheckpointTensors.Open(folder);
        return CheckpointLoader.Load(tensors, model.Parameters.Parameters, ClipName, what, extras);
    }

    private static bool HasProjection(string folder, bool isImage)
    {
        using CheckpointTensors tensors = CheckpointTensors.Open(folder);
        return tensors.TryGetEntry(isImage ? CheckpointFolder.ImageProjection : CheckpointFolder.TextProjection, out _);
    }

    private static string ClipName(Parameter parameter) => parameter.Group switch
    {
        ParameterGroup.TextHead => CheckpointFolder.TextProjection,
        ParameterGroup.ImageHead => CheckpointFolder.ImageProjection,
        _ => parameter.PublishedName,
    };

    // Everything is compared with the files before memory is taken.
    private static TwoTowerModel Build(
        Device device,
        Func<Device, TwoTowerModel> make,
        Func<TwoTowerModel, IEnumerable<CheckpointReport>> load,
        out IReadOnlyList<CheckpointReport> reports,
        IReadOnlyList<string>? denseFolders = null)
    {
        using (PlanDevice plan = new())
        {
            using TwoTowerModel planned = make(plan);
            _ = load(planned).ToArray();
        }

        TwoTowerModel model = make(device);
        try
        {
            reports = [.. load(model)];
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
}
