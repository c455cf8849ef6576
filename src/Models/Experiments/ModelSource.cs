using CrossAlign.Models.Checkpoints;
using CrossAlign.Models.Checkpoints.Hub;
using CrossAlign.Models.Data;
using CrossAlign.Models.Encoders;
using CrossAlign.Models.Images;
using CrossAlign.Models.Tokenization;
using CrossAlign.Models.Training;
using CrossAlign.Models.Training.Configuration;
using CrossAlign.Models.Training.Recording;
using CrossAlign.Runtime;

namespace CrossAlign.Models.Experiments;

/// <summary>
/// A model as a person names it: a published checkpoint folder, an exported folder, a run, one checkpoint of a run, or
/// <c>ORGANISATION/NAME</c> of the public hub, fetched before. Knows what the folder declares about texts and pictures.
/// </summary>
public sealed class ModelSource
{
    private ModelSource(string folder, RunConfig? config, RunRecord? record)
    {
        Folder = folder;
        Config = config;
        Record = record;
        string text = Path.Combine(folder, ModelFolder.TextName);
        TextFolder = Directory.Exists(text) ? text : folder;
        string image = Path.Combine(folder, ModelFolder.ImageName);
        ImageFolder = Directory.Exists(image) ? image : folder;
    }

    /// <summary>The folder of the weights: of a run the checkpoint that it gives.</summary>
    public string Folder { get; }

    /// <summary>The folder of the text tower, with its tokenizer.</summary>
    public string TextFolder { get; }

    /// <summary>The folder of the image tower, with its preprocessor.</summary>
    public string ImageFolder { get; }

    /// <summary>The last part of the folder's name.</summary>
    public string Name => Path.GetFileName(Path.TrimEndingDirectorySeparator(Folder));

    /// <summary>The configuration of the run that the model comes from; null for a published or exported folder.</summary>
    public RunConfig? Config { get; }

    /// <summary>What that run ran on; null where there is no record.</summary>
    public RunRecord? Record { get; }

    /// <summary>Looks at a folder; weights are not read yet.</summary>
    /// <param name="path">A run, a checkpoint of one, an exported folder, a published checkpoint, or the name of a model that was fetched.</param>
    /// <param name="cache">The value of <c>--cache</c>, or null.</param>
    /// <returns>What it is.</returns>
    /// <exception cref="UserErrorException">There is no such folder, or the run has no checkpoint.</exception>
    public static ModelSource Find(string path, string? cache = null)
    {
        ArgumentNullException.ThrowIfNull(path);
        string folder = Path.GetFullPath(path);
        if (!Directory.Exists(folder))
        {
            folder = !HubModelName.TryParse(path, out HubModelName? name)
                ? throw new UserErrorException($"there is no model folder '{path}'", "give a folder that train or export wrote, or a published checkpoint")
                : HubModels.Find(name, cache)?.Folder
                ?? throw new UserErrorException($"there is no model folder '{path}', and no model of that name was fetched", $"give a folder, or fetch it: crossalign data model {path}");
        }

        RunFolder run = new(folder);
        if (Directory.Exists(run.CheckpointsPath))
        {
            return OfRun(run.KeptCheckpoint(), run);
        }

        // A checkpoint knows its run: checkpoints/step-... beside config.json.
        string? checkpoints = Path.GetDirectoryName(folder);
        RunFolder? parent = Path.GetDirectoryName(checkpoints) is string above ? new RunFolder(above) : null;
        return parent is not null && parent.CheckpointsPath == checkpoints && File.Exists(parent.ConfigPath)
            ? OfRun(folder, parent)
            : new ModelSource(folder, null, null);
    }

    /// <summary>Loads the weights.</summary>
    /// <param name="device">Where the model is to lie; it must outlive the model.</param>
    /// <returns>The model, owned by the caller.</returns>
    /// <exception cref="UserErrorException">The folder holds no model that is known here, or its tensors do not fit.</exception>
    public TwoTowerModel Load(Device device) => Load(device, out _);

    /// <summary>Loads the weights.</summary>
    /// <param name="device">Where the model is to lie; it must outlive the model.</param>
    /// <param name="reports">What was loaded from where, and what was ignored.</param>
    /// <returns>The model, owned by the caller.</returns>
    /// <exception cref="UserErrorException">The folder holds no model that is known here, or its tensors do not fit.</exception>
    public TwoTowerModel Load(Device device, out IReadOnlyList<CheckpointReport> reports) => ModelFolder.Load(device, Folder, out reports);

    /// <summary>Loads the weights, to be used with products of a precision: on a CUDA device bf16 stores activations, and copies of the weights, as bfloat16.</summary>
    /// <param name="device">Where the model is to lie; it must outlive the model.</param>
    /// <param name="precision">What the device's products are set to.</param>
    /// <returns>The model, owned by the caller.</returns>
    /// <exception cref="UserErrorException">The folder holds no model that is known here, or its tensors do not fit.</exception>
    public TwoTowerModel Load(Device device, Precision precision) => Load(device, precision, out _);

    /// <summary>Loads the weights, to be used with products of a precision: on a CUDA device bf16 stores activations, and copies of the weights, as bfloat16.</summary>
    /// <param name="device">Where the model is to lie; it must outlive the model.</param>
    /// <param name="precision">What the device's products are set to.</param>
    /// <param name="reports">What was loaded from where, and what was ignored.</param>
    /// <returns>The model, owned by the caller.</returns>
    /// <exception cref="UserErrorException">The folder holds no model that is known here, or its tensors do not fit.</exception>
    public TwoTowerModel Load(Device device, Precision precision, out IReadOnlyList<CheckpointReport> reports)
    {
        TwoTowerModel model = Load(device, out reports);
        try
        {
            if (TrainingMemory.StoresBFloat16(precision, device))
            {
                model.StoreBFloat16();
            }

            return model;
        }
        catch
        {
            model.Dispose();
            throw;
        }
    }

    /// <summary>Loads the tokenizer.</summary>
    /// <returns>The tokenizer.</returns>
    /// <exception cref="UserErrorException">The folder has none, or it cannot be read.</exception>
    public ITokenizer LoadTokenizer() => Tokenizer.Load(TextFolder);

    /// <summary>How texts enter the text tower and become vectors: as its folder declares, of a run as it was trained.</summary>
    /// <param name="tower">The tower.</param>
    /// <returns>The settings.</returns>
    /// <exception cref="UserErrorException">The folder declares what is not computed here.</exception>
    public SentenceTransformersSettings ReadSettings(TextTower tower)
    {
        ArgumentNullException.ThrowIfNull(tower);
        return Config is null ? SentenceTransformersSettings.Read(TextFolder) : TowerCompanions.SettingsOf(Config, tower.Packing, TowerCompanions.TryRead(TextFolder, out _));
    }

    /// <summary>Whether the vectors of pictures get length 1: as those of the texts that they are compared with.</summary>
    /// <param name="model">The model that was loaded from here.</param>
    /// <returns>True where nothing is declared.</returns>
    /// <exception cref="UserErrorException">The text tower's folder declares what is not computed here.</exception>
    public bool NormalizesPictures(TwoTowerModel model)
    {
        ArgumentNullException.ThrowIfNull(model);
        return model.Text is null ? Config is null || LossOptions.IsNormalized(Config.Loss.Variant) : ReadSettings(model.Text).Normalize ?? true;
    }

    /// <summary>How pictures are prepared for the image tower: as its folder says, as the run did in training, or as its architecture's standard is.</summary>
    /// <param name="tower">The tower.</param>
    /// <param name="from">What that was taken from, for people.</param>
    /// <returns>The preprocessor.</returns>
    /// <exception cref="UserErrorException">The folder asks for what is not done here.</exception>
    public ImagePreprocessor ReadPreprocessor(ImageEncoderConfig tower, out string from)
    {
        ArgumentNullException.ThrowIfNull(tower);
        if (ImagePreprocessor.FileIn(ImageFolder) is string path)
        {
            from = Path.GetFileName(path);
            ImagePreprocessor said = ImagePreprocessor.Read(path);

            // A run's tower may read another size than the published one, whose file older checkpoints have as it was.
            return Config is null ? said : said.ForSquares(Config.ImageTower.ImageSize, path);
        }

        if (Config is not null)
        {
            from = "the run's training";
            return TowerPreparation.Of(Config, ImageFolder, tower);
        }

        from = $"the standard of {tower.ModelType}, since the folder has no {ImagePreprocessor.FileName}";
        return tower.IsClip ? ImagePreprocessor.Clip(tower.ImageSize) : ImagePreprocessor.Vit(tower.ImageSize);
    }

    /// <summary>A text as the tokenizer takes it: one that a run has trained on its captions knows these normalised, a published one takes texts as they are.</summary>
    /// <param name="text">The text.</param>
    /// <returns>The text to tokenize.</returns>
    /// <exception cref="UserErrorException">The text holds half a surrogate pair.</exception>
    public string Prepare(string text) =>
        Config is { Tokenizer.Kind: TokenizerSource.Train } ? CaptionText.Normalize(CaptionText.UnifyApostrophes(text)) : text;

    private static ModelSource OfRun(string checkpoint, RunFolder run) => new(
        checkpoint,
        RunConfigReader.ReadComplete(run.ConfigPath),
        File.Exists(run.RecordPath) ? RunRecord.Read(run.RecordPath) : null);
}
