using System.Globalization;
using CrossAlign.Kernels;
using CrossAlign.Models.Checkpoints;
using CrossAlign.Models.Data;
using CrossAlign.Models.Encoders;
using CrossAlign.Models.Tokenization;
using CrossAlign.Models.Training.Configuration;
using CrossAlign.Runtime;

namespace CrossAlign.Models.Training;

/// <summary>Makes what a configuration describes: the tokenizer and the towers that a run starts from, or goes on with.</summary>
internal static class TowerFactory
{
    /// <summary>Trains or reads the tokenizer.</summary>
    /// <param name="config">The configuration.</param>
    /// <param name="data">Its training captions are what a tokenizer is trained on: held-out names are not among them.</param>
    /// <returns>The tokenizer.</returns>
    /// <exception cref="UserErrorException">There is no tokenizer file.</exception>
    public static ITokenizer MakeTokenizer(RunConfig config, CaptionedPictures data)
    {
        if (config.Tokenizer.Kind == TokenizerSource.Train)
        {
            CaptionSampler captions = new(data, PairedCaptionSource.Sampling(config));
            return new BpeTokenizerTrainer(config.Tokenizer.Pieces).Train(captions.Texts);
        }

        string path = config.Tokenizer.Path ?? config.TextTower.From
            ?? throw new UserErrorException("'tokenizer.path' is missing", "name a tokenizer.json or .model file, or a textTower.from folder");
        return Tokenizer.Load(path);
    }

    /// <summary>Makes the towers with their first values: published weights where a checkpoint is named, drawn ones elsewhere.</summary>
    /// <param name="config">The configuration.</param>
    /// <param name="tokenizer">Decides the rows of the word embeddings of a tower from scratch.</param>
    /// <param name="device">Where the model lies.</param>
    /// <param name="say">Hears what was loaded from where, what was ignored, and what is newly initialised.</param>
    /// <returns>The model, with what is frozen.</returns>
    /// <exception cref="UserErrorException">A checkpoint to start from cannot be read, or does not fit.</exception>
    public static TwoTowerModel Create(RunConfig config, ITokenizer tokenizer, Device device, Action<string> say)
    {
        TextTowerConfig text = config.TextTower;
        ImageTowerConfig image = config.ImageTower;
        TextEncoderConfig textConfig = text.From is string textFolder
            ? WithPooler(PublishedTowers.ReadText(textFolder))
            : TextEncoderConfig.Create(text.Kind, tokenizer.VocabularySize, config.Tokenizer.MaxTokens, text.Width, text.Layers, text.Heads, text.FeedForward);
        ImageEncoderConfig? imageConfig = config.Objective != Objective.ImageText ? null
            : image.From is string imageFolder ? WithPooler(PublishedTowers.ReadImage(imageFolder))
            : ImageEncoderConfig.Create(image.Kind, image.ImageSize, image.PatchSize, image.Width, image.Layers, image.Heads, image.FeedForward);
        TwoTowerModel model = new(device, WithDropout(textConfig, text.Dropout), imageConfig is null ? null : WithDropout(imageConfig, image.Dropout), Options(config));
        try
        {
            Fill(model, config, say);
            Prepare(model, config, tokenizer);
            return model;
        }
        catch
        {
            model.Dispose();
            throw;
        }
    }

    /// <summary>Loads the towers that a run goes on with.</summary>
    /// <param name="config">The configuration.</param>
    /// <param name="tokenizer">The run's tokenizer.</param>
    /// <param name="device">Where the model lies.</param>
    /// <param name="checkpoint">The checkpoint's folder.</param>
    /// <returns>The model, with what is frozen.</returns>
    /// <exception cref="UserErrorException">The checkpoint cannot be read.</exception>
    public static TwoTowerModel Load(RunConfig config, ITokenizer tokenizer, Device device, string checkpoint)
    {
        TwoTowerModel model = ModelFolder.Load(
            device, checkpoint, c => WithDropout(c, config.TextTower.Dropout), c => WithDropout(c, config.ImageTower.Dropout), out _);
        try
        {
            Prepare(model, config, tokenizer);
            return model;
        }
        catch
        {
            model.Dispose();
            throw;
        }
    }

    /// <summary>What a model has beside its towers.</summary>
    /// <param name="config">The configuration.</param>
    /// <returns>The options.</returns>
    public static TwoTowerOptions Options(RunConfig config) => new()
    {
        ProjectionWidth = config.Projection.Width,
        ProjectionBias = config.Projection.Bias,
        TextPooling = Pooling(config.TextTower.Pooling, "textTower.pooling"),
        ImagePooling = Pooling(config.ImageTower.Pooling, "imageTower.pooling"),
        ScaleName = config.Loss.ScaleParameter == ScaleParameter.Log ? "logit_scale" : "temperature",
        HasLogitBias = LossOptions.IsSigmoid(config.Loss.Variant),
    };

    private static void Fill(TwoTowerModel model, RunConfig config, Action<string> say)
    {
        List<CheckpointReport> reports = [];
        if (config.TextTower.From is string text)
        {
            reports.Add(CheckpointFolder.Load(text, model.Text!));
            SayPooling(text, config, say);
        }

        if (config.ImageTower.From is string image && model.Image is not null)
        {
            reports.Add(CheckpointFolder.Load(image, model.Image));
        }

        // A value depends on the seed and the parameter's name alone, so what is loaded need not be drawn first.
        HashSet<string> loaded = [.. reports.SelectMany(r => r.Loaded)];
        foreach (Parameter parameter in model.Parameters.Parameters.Where(p => !loaded.Contains(p.Name)))
        {
            ParameterInitialization.Initialize(parameter, (ulong)config.Seed);
        }

        switch (config.Projection.TextStart)
        {
            case HeadStart.Identity:
                SetIdentity(model.TextHead!);
                break;
            case HeadStart.Folder:
                SetFromFolder(model.TextHead!, "projection.textStart", config.TextTower.From, model.Text!.Config.IsCausal ? CheckpointFolder.TextProjection : null);
                break;
        }

        switch (model.ImageHead is null ? HeadStart.Drawn : config.Projection.ImageStart)
        {
            case HeadStart.Identity:
                SetIdentity(model.ImageHead!);
                break;
            case HeadStart.Folder:
                SetFromFolder(model.ImageHead!, "projection.imageStart", config.ImageTower.From, CheckpointFolder.ImageProjection);
                break;
        }

        float scale = (float)(config.Loss.ScaleParameter == ScaleParameter.Log ? Math.Log(config.Loss.ScaleInit) : config.Loss.ScaleInit);
        model.Scale.Value.CopyFrom<float>([scale]);
        if (model.LogitBias.IsPresent)
        {
            model.LogitBias.Value.CopyFrom<float>([(float)config.Loss.BiasInit]);
        }

        foreach (CheckpointReport report in reports)
        {
            string ignored = report.Ignored.Count == 0 ? string.Empty : $"; ignored: {string.Join(", ", report.Ignored)}";
            say(string.Create(CultureInfo.InvariantCulture, $"{report.Loaded.Count} tensors loaded from {report.Source}{ignored}"));
        }

        if (reports.Count > 0)
        {
            string[] fresh = [.. CheckpointReport.NewlyInitialized(model.Parameters, reports).Where(n => !FromScratch(n, config))];
            say($"newly initialised: {string.Join(", ", fresh)}");
        }
    }

    private static void SetIdentity(Projection head)
    {
        float[] weight = new float[head.OutputWidth * head.InputWidth];
        for (int i = 0; i < head.InputWidth; i++)
        {
            weight[(i * head.InputWidth) + i] = 1;
        }

        head.Weight.Value.CopyFrom<float>(weight);
        head.Bias?.Value.CopyFrom<float>(new float[head.OutputWidth]);
    }

    // A whole tower from scratch is no surprise: its tensors are not listed.
    private static bool FromScratch(string name, RunConfig config) =>
        (config.TextTower.From is null && name.StartsWith(TwoTowerModel.TextPrefix, StringComparison.Ordinal))
        || (config.ImageTower.From is null && name.StartsWith(TwoTowerModel.ImagePrefix, StringComparison.Ordinal));

    // CLIP's projection where the tower has one under that name, else the dense layer that the folder declares.
    private static void SetFromFolder(Projection head, string key, string? folder, string? projection)
    {
        const string Remedy = "give drawn or identity";
        if (folder is null)
        {
            throw new UserErrorException($"'{key}' is folder, but the tower starts from scratch", Remedy);
        }

        if (projection is not null)
        {
            (float[] weight, int outputs, int inputs) = ReadProjection(folder, projection, key);
            SetHead(head, $"{folder}: {projection}", weight, [], outputs, inputs);
            return;
        }

        if (SentenceTransformersSettings.Read(folder).DenseFolders is not [string dense])
        {
            throw new UserErrorException($"'{key}' is folder, but '{folder}' does not declare one dense layer", Remedy);
        }

        DenseModule module = DenseModule.Load(dense);
        if (!module.IsLinear)
        {
            throw new UserErrorException($"'{key}' is folder, but '{dense}' ends in a hyperbolic tangent, which a head has not", Remedy);
        }

        SetHead(head, dense, module.Weight, module.Bias, module.OutputWidth, module.InputWidth);
    }

    private static (float[] Weight, int Outputs, int Inputs) ReadProjection(string folder, string name, string key)
    {
        using CheckpointTensors tensors = CheckpointTensors.Open(folder);
        return tensors.TryGetEntry(name, out SafetensorsEntry? entry) && entry.Shape is [long outputs, long inputs]
            ? (tensors.ReadSingles(name), (int)outputs, (int)inputs)
            : throw new UserErrorException($"'{key}' is folder, but '{folder}' has no '{name}'", "give drawn or identity");
    }

    private static void SetHead(Projection head, string source, ReadOnlySpan<float> weight, ReadOnlySpan<float> bias, int outputs, int inputs)
    {
        if (outputs != head.OutputWidth || inputs != head.InputWidth)
        {
            throw new UserErrorException(
                string.Create(CultureInfo.InvariantCulture, $"'projection.width' is {head.OutputWidth}, but '{source}' goes from {inputs} to {outputs}"),
                string.Create(CultureInfo.InvariantCulture, $"set projection.width={outputs}"));
        }

        if (head.Bias is null && bias.ContainsAnyExcept(0f))
        {
            throw new UserErrorException($"'projection.bias' is false, but '{source}' has one", "set projection.bias=true");
        }

        head.Weight.Value.CopyFrom(weight);
        head.Bias?.Value.CopyFrom(bias.IsEmpty ? new float[outputs] : bias);
    }

    private static void SayPooling(string folder, RunConfig config, Action<string> say)
    {
        string pooling = config.TextTower.Pooling;
        SentenceTransformersSettings? settings = TowerCompanions.TryRead(folder, out string? why);
        if (why is not null && config.Projection.TextStart != HeadStart.Folder)
        {
            say($"{why}; in this run its own head takes that place, behind {pooling} pooling (textTower.pooling; projection.textStart=folder begins with a linear one)");
        }
        else if (settings?.Pooling is PoolingModes declared && declared.Name != pooling)
        {
            say($"'{folder}' declares {declared.Name} pooling; this run pools by {pooling} (textTower.pooling)");
        }
    }

    private static void Prepare(TwoTowerModel model, RunConfig config, ITokenizer tokenizer)
    {
        int rows = model.Text!.Config.VocabularySize;
        if (tokenizer.VocabularySize > rows)
        {
            throw new UserErrorException(
                string.Create(CultureInfo.InvariantCulture, $"the tokenizer has {tokenizer.VocabularySize} pieces, the text tower rows for {rows}"),
                "take the tokenizer that belongs to the checkpoint");
        }

        model.Text.Freeze = Freeze(config.TextTower.Freeze, model.Text, "textTower.freeze");
        if (model.Image is not null)
        {
            model.Image.Freeze = Freeze(config.ImageTower.Freeze, model.Image, "imageTower.freeze");
        }
    }

    private static TowerFreeze Freeze(string text, EncoderTower tower, string key)
    {
        TowerFreeze freeze = TowerFreeze.Parse(text);
        return freeze == TowerFreeze.All || freeze.LowestBlocks <= tower.Config.Layers
            ? freeze
            : throw new UserErrorException(
                string.Create(CultureInfo.InvariantCulture, $"'{key}' is {text}, but the tower has {tower.Config.Layers} blocks"), "give fewer, or all");
    }

    /// <summary>The published framework makes a pooler with every such tower: where a checkpoint has none (a masked-LM one, say), it begins anew, and is named.</summary>
    /// <param name="config">A tower's configuration.</param>
    /// <returns>The same with a pooler, where the architecture has one.</returns>
    public static TextEncoderConfig WithPooler(TextEncoderConfig config) => config.IsCausal ? config : config with { HasPooler = true };

    /// <summary>As <see cref="WithPooler(TextEncoderConfig)"/>, of an image tower.</summary>
    /// <param name="config">A tower's configuration.</param>
    /// <returns>The same with a pooler, where the architecture has one.</returns>
    public static ImageEncoderConfig WithPooler(ImageEncoderConfig config) => config.IsClip ? config : config with { HasPooler = true };

    private static TextEncoderConfig WithDropout(TextEncoderConfig config, double? dropout) =>
        dropout is double rate ? config with { HiddenDropout = (float)rate, AttentionDropout = (float)rate } : config;

    private static ImageEncoderConfig WithDropout(ImageEncoderConfig config, double? dropout) =>
        dropout is double rate ? config with { HiddenDropout = (float)rate, AttentionDropout = (float)rate } : config;

    private static PoolingKind Pooling(string name, string key) =>
        PoolingModes.Find(name) ?? throw new UserErrorException($"'{key}' is '{name}'", $"give one of {PoolingModes.KnownNames}");
}
