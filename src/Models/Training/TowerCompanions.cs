using CrossAlign.Models.Checkpoints;
using CrossAlign.Models.Data;
using CrossAlign.Models.Encoders;
using CrossAlign.Models.Images;
using CrossAlign.Models.Images.Preprocessing;
using CrossAlign.Models.Tokenization;
using CrossAlign.Models.Training.Configuration;

namespace CrossAlign.Models.Training;

/// <summary>
/// What stands beside the weights of a tower in a checkpoint, so that it is a whole published folder: the tokenizer, and of a
/// published tower its preprocessing, pooling and licence.
/// </summary>
internal sealed class TowerCompanions
{
    /// <summary>The name of the run's prefix among the prompts that a folder declares.</summary>
    public const string PromptName = "caption";

    private readonly RunConfig _config;
    private readonly ITokenizer _tokenizer;
    private readonly IReadOnlyList<(string Name, byte[] Content)>? _text;
    private readonly IReadOnlyList<(string Name, byte[] Content)> _image = [];

    // Whether a file of the image tower's folder says how pictures are prepared.
    private readonly bool _saysPreparation;

    /// <summary>Reads the files: neither the published folders nor the checkpoint gone on with need to outlive that.</summary>
    /// <param name="config">The run's configuration.</param>
    /// <param name="tokenizer">The run's tokenizer.</param>
    /// <param name="checkpoint">The checkpoint that the run goes on with: it has them all, wherever the published folders are now; null for a new run.</param>
    public TowerCompanions(RunConfig config, ITokenizer tokenizer, string? checkpoint)
    {
        _config = config;
        _tokenizer = tokenizer;
        ImageFolder = ImageFolderOf(config, checkpoint);
        if (config.Objective == Objective.ImageText)
        {
            _saysPreparation = ImageFolder is not null && ImagePreprocessor.FileIn(ImageFolder) is not null;
            _image = ImageFolder is null ? []
                : PreprocessorFiles.AtSize(ImageFolder, [.. CheckpointFolder.ReadCompanions(ImageFolder).Where(f => CheckpointFolder.IsImageFile(f.Name))], config.ImageTower.ImageSize);
        }

        // A tokenizer of the user's own takes the place of the published one.
        string? text = FolderOf(config.TextTower.From, checkpoint, ModelFolder.TextName);
        _text = text is null ? null
            : [.. CheckpointFolder.ReadCompanions(text).Where(f => config.Tokenizer.Path is null || !CheckpointFolder.IsTokenizerFile(f.Name))];
    }

    /// <summary>Where the image tower's preprocessing is said, while a run starts; null for a tower from scratch.</summary>
    public string? ImageFolder { get; }

    /// <summary>Where an image tower's preprocessing is said.</summary>
    /// <param name="config">The run's configuration.</param>
    /// <param name="checkpoint">The checkpoint that the run goes on with; null for a new run.</param>
    /// <returns>The folder; null for a tower from scratch.</returns>
    public static string? ImageFolderOf(RunConfig config, string? checkpoint) => FolderOf(config.ImageTower.From, checkpoint, ModelFolder.ImageName);

    /// <summary>Writes the files beside the weights.</summary>
    /// <param name="folder">The checkpoint's folder.</param>
    /// <param name="model">The model.</param>
    /// <exception cref="UserErrorException">A file cannot be read or written.</exception>
    public void Write(string folder, TwoTowerModel model)
    {
        string text = Path.Combine(folder, ModelFolder.TextName);
        if (_text is not null)
        {
            Write(_text, text);
        }

        SettingsOf(_config, model.Text!.Packing, TryRead(text, out _)).Write(text, model.Text.Config.Width);
        if (_text is null || _config.Tokenizer.Path is not null)
        {
            _tokenizer.Save(Path.Combine(text, _tokenizer.FileName));
        }

        string image = Path.Combine(folder, ModelFolder.ImageName);
        if (model.Image is not null)
        {
            Write(_image, image);

            // So that the checkpoint is a tower to start from, and is embedded with as it was trained.
            if (!_saysPreparation)
            {
                CheckpointFolder.WriteJson(Path.Combine(image, ImagePreprocessor.FileName), TowerPreparation.WithoutFile(_config, model.Image.Config).ToJson());
            }
        }
    }

    /// <summary>
    /// What a run's text tower declares, whatever the folder that it began with did: texts are pooled, normalised, prompted and cut as in the run's
    /// training, and the run's own head takes the place of dense layers. The folder's prompts can still be named.
    /// </summary>
    /// <param name="config">The run's configuration.</param>
    /// <param name="packing">How the tower takes texts.</param>
    /// <param name="folder">What the published folder, or the checkpoint's own, declares; null for nothing that is known.</param>
    /// <returns>The settings; applied to themselves they stay the same.</returns>
    public static SentenceTransformersSettings SettingsOf(RunConfig config, TokenPacking packing, SentenceTransformersSettings? folder)
    {
        string prefix = TowerInputs.PrefixOf(config);
        SortedDictionary<string, string> prompts = new(StringComparer.Ordinal);
        foreach ((string name, string text) in folder?.Prompts ?? SentenceTransformersSettings.None.Prompts)
        {
            prompts[name] = text;
        }

        string? promptName = prefix.Length == 0 ? null : prompts.FirstOrDefault(p => p.Value == prefix).Key ?? PromptName;
        if (promptName is not null)
        {
            prompts[promptName] = prefix;
        }

        return new SentenceTransformersSettings
        {
            Pooling = PoolingModes.Parse(config.TextTower.Pooling),
            Normalize = LossOptions.IsNormalized(config.Loss.Variant),
            LowerCase = folder?.LowerCase ?? false,
            MaxTokens = Math.Min(config.Tokenizer.MaxTokens, packing.MaxTokens),
            Prompts = prompts,
            DefaultPromptName = promptName,
        };
    }

    /// <summary>What a folder declares.</summary>
    /// <param name="folder">A text tower's folder.</param>
    /// <param name="why">What a run does not take over (a dense layer behind the tower, say); null where it takes all.</param>
    /// <returns>The settings; null where they cannot be read.</returns>
    public static SentenceTransformersSettings? TryRead(string folder, out string? why)
    {
        try
        {
            SentenceTransformersSettings settings = SentenceTransformersSettings.Read(folder);
            why = settings.DenseFolders.Count == 0 ? null : $"'{folder}' declares a dense layer behind its tower";
            return settings;
        }
        catch (UserErrorException e)
        {
            why = e.What;
            return null;
        }
    }

    private static void Write(IReadOnlyList<(string Name, byte[] Content)> files, string folder)
    {
        foreach ((string name, byte[] content) in files)
        {
            AtomicFile.Write(Path.Combine(folder, name), stream => stream.Write(content));
        }
    }

    private static string? FolderOf(string? published, string? checkpoint, string name) =>
        published is null ? null : checkpoint is null ? published : Path.Combine(checkpoint, name);
}
