using CrossAlign.Kernels;
using CrossAlign.Models.Data;
using CrossAlign.Models.Encoders;
using CrossAlign.Models.Tokenization;
using CrossAlign.Models.Training.Configuration;
using CrossAlign.Runtime;

namespace CrossAlign.Models.Training;

/// <summary>Makes what a configuration describes: the tokenizer and the towers that a run starts from.</summary>
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

    /// <summary>Makes the towers with their first values.</summary>
    /// <param name="config">The configuration.</param>
    /// <param name="tokenizer">Decides the rows of the word embeddings.</param>
    /// <param name="device">Where the model lies.</param>
    /// <returns>The model.</returns>
    /// <exception cref="UserErrorException">A checkpoint to start from cannot be read, or does not fit.</exception>
    public static TwoTowerModel Create(RunConfig config, ITokenizer tokenizer, Device device)
    {
        TextTowerConfig text = config.TextTower;
        ImageTowerConfig image = config.ImageTower;
        TwoTowerModel model = new(
            device,
            TextEncoderConfig.Create(text.Kind, tokenizer.VocabularySize, config.Tokenizer.MaxTokens, text.Width, text.Layers, text.Heads, text.FeedForward),
            config.Objective == Objective.ImageText
                ? ImageEncoderConfig.Create(image.Kind, image.ImageSize, image.PatchSize, image.Width, image.Layers, image.Heads, image.FeedForward)
                : null,
            Options(config));
        model.Initialize((ulong)config.Seed);
        float scale = (float)(config.Loss.ScaleParameter == ScaleParameter.Log ? Math.Log(config.Loss.ScaleInit) : config.Loss.ScaleInit);
        model.Scale.Value.CopyFrom<float>([scale]);
        return model;
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
    };

    private static PoolingKind Pooling(string name, string key) => name switch
    {
        "mean" => PoolingKind.Mean,
        "cls" => PoolingKind.Cls,
        "eos" => PoolingKind.Eos,
        _ => throw new UserErrorException($"'{key}' is '{name}'", "give mean, cls or eos"),
    };
}
