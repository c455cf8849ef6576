using System.Globalization;
using System.Text.Json.Nodes;

namespace CrossAlign.Models.Encoders;

/// <summary>
/// Reads published <c>config.json</c> files. A key that a file leaves out has the published framework's default for that
/// architecture; an architecture, activation or option that is not computed here is an error that names it, never a guess.
/// </summary>
public static class EncoderConfigReader
{
    private const string TextTypes = "xlm-roberta, roberta, bert, roberta-prelayernorm, clip";
    private const string ImageTypes = "vit, clip_vision_model, clip";

    /// <summary>Reads a file.</summary>
    /// <param name="path">A <c>config.json</c>.</param>
    /// <returns>The JSON object.</returns>
    /// <exception cref="UserErrorException">The file cannot be read or is no JSON object.</exception>
    public static JsonObject ReadFile(string path) => JsonFile.ReadObject(path, "take the config.json that belongs to the checkpoint");

    /// <summary>Whether a configuration has a text tower that is known here.</summary>
    /// <param name="config">The JSON object.</param>
    /// <returns>True for the architectures that <see cref="ReadText"/> reads.</returns>
    public static bool HasText(JsonObject config) => ModelTypeOf(config) is "xlm-roberta" or "roberta" or "bert" or "roberta-prelayernorm" or "clip_text_model" or "clip";

    /// <summary>Whether a configuration has an image tower that is known here.</summary>
    /// <param name="config">The JSON object.</param>
    /// <returns>True for the architectures that <see cref="ReadImage"/> reads.</returns>
    public static bool HasImage(JsonObject config) => ModelTypeOf(config) is "vit" or "clip_vision_model" or "clip";

    /// <summary>Reads the text tower of a configuration.</summary>
    /// <param name="config">The JSON object.</param>
    /// <param name="source">Where it comes from, for messages.</param>
    /// <returns>The configuration.</returns>
    /// <exception cref="UserErrorException">Something in it is unknown or impossible; the message names it.</exception>
    public static TextEncoderConfig ReadText(JsonObject config, string source)
    {
        ArgumentNullException.ThrowIfNull(config);
        JsonFields fields = new(config, source);
        string modelType = fields.Text("model_type", "");
        if (modelType is "clip" or "clip_text_model")
        {
            return ReadClipText(config, source, modelType == "clip" ? ClipSide(fields, "text_config") : fields);
        }

        if (modelType is not ("xlm-roberta" or "roberta" or "bert" or "roberta-prelayernorm"))
        {
            throw UnknownType(source, modelType, "text", TextTypes);
        }

        if (fields.Text("position_embedding_type", "absolute") is string kind and not "absolute")
        {
            throw new UserErrorException($"{source}: position_embedding_type '{kind}' is not supported", "use a checkpoint with absolute positions");
        }

        if (fields.Flag("is_decoder", false))
        {
            throw new UserErrorException($"{source}: is_decoder is true; a decoder is not supported", "use an encoder's checkpoint");
        }

        bool bert = modelType == "bert";
        TextEncoderConfig read = new()
        {
            ModelType = modelType,
            Published = config,
            Width = fields.Size("hidden_size", 768),
            Layers = fields.Size("num_hidden_layers", 12, JsonFields.MostLayers),
            Heads = fields.Size("num_attention_heads", 12),
            FeedForward = fields.Size("intermediate_size", 3072),
            Activation = fields.Activation("gelu"),
            NormEpsilon = fields.Epsilon(1e-12),
            HiddenDropout = fields.Rate("hidden_dropout_prob", 0.1),
            AttentionDropout = fields.Rate("attention_probs_dropout_prob", 0.1),
            VocabularySize = fields.Size("vocab_size", bert ? 30522 : 50265),
            Positions = fields.Size("max_position_embeddings", 512),
            TypeVocabularySize = fields.Size("type_vocab_size", 2),
            PadTokenId = fields.Id("pad_token_id", bert ? 0 : 1),
        };
        if (read.MaxTokens < 1)
        {
            throw new UserErrorException(
                string.Create(CultureInfo.InvariantCulture, $"{source}: max_position_embeddings {read.Positions} leaves no position behind pad_token_id {read.PadTokenId}"),
                "check the file");
        }

        return Checked(read, source);
    }

    /// <summary>Reads the image tower of a configuration.</summary>
    /// <param name="config">The JSON object.</param>
    /// <param name="source">Where it comes from, for messages.</param>
    /// <returns>The configuration.</returns>
    /// <exception cref="UserErrorException">Something in it is unknown or impossible; the message names it.</exception>
    public static ImageEncoderConfig ReadImage(JsonObject config, string source)
    {
        ArgumentNullException.ThrowIfNull(config);
        JsonFields top = new(config, source);
        string modelType = top.Text("model_type", "");
        bool clip = modelType is "clip" or "clip_vision_model";
        if (!clip && modelType != "vit")
        {
            throw UnknownType(source, modelType, "image", ImageTypes);
        }

        JsonFields fields = modelType == "clip" ? ClipSide(top, "vision_config") : top;
        if (fields.Size("num_channels", 3) != 3)
        {
            throw new UserErrorException($"{source}: num_channels must be 3", "use a checkpoint for RGB pictures");
        }

        ImageEncoderConfig read = new()
        {
            ModelType = clip ? "clip_vision_model" : "vit",
            Published = config,
            Width = fields.Size("hidden_size", 768),
            Layers = fields.Size("num_hidden_layers", 12, JsonFields.MostLayers),
            Heads = fields.Size("num_attention_heads", 12),
            FeedForward = fields.Size("intermediate_size", 3072),
            Activation = fields.Activation(clip ? "quick_gelu" : "gelu"),
            NormEpsilon = fields.Epsilon(clip ? 1e-5 : 1e-12),
            HiddenDropout = clip ? 0 : fields.Rate("hidden_dropout_prob", 0),
            AttentionDropout = fields.Rate(clip ? "attention_dropout" : "attention_probs_dropout_prob", 0),
            ImageSize = fields.Side("image_size", 224),
            PatchSize = fields.Side("patch_size", clip ? 32 : 16),
            HasQueryKeyValueBias = clip || fields.Flag("qkv_bias", true),
            ProjectionWidth = clip ? top.Size("projection_dim", 512) : 0,
        };
        if (read.PatchSize > read.ImageSize)
        {
            throw new UserErrorException(
                string.Create(CultureInfo.InvariantCulture, $"{source}: patch_size {read.PatchSize} is larger than image_size {read.ImageSize}"), "check the file");
        }

        return Checked(read, source);
    }

    private static TextEncoderConfig ReadClipText(JsonObject config, string source, JsonFields fields)
    {
        JsonFields top = new(config, source);
        return Checked(
            new TextEncoderConfig
            {
                ModelType = "clip_text_model",
                Published = config,
                Width = fields.Size("hidden_size", 512),
                Layers = fields.Size("num_hidden_layers", 12, JsonFields.MostLayers),
                Heads = fields.Size("num_attention_heads", 8),
                FeedForward = fields.Size("intermediate_size", 2048),
                Activation = fields.Activation("quick_gelu"),
                NormEpsilon = fields.Epsilon(1e-5),
                AttentionDropout = fields.Rate("attention_dropout", 0),
                VocabularySize = fields.Size("vocab_size", 49408),
                Positions = fields.Size("max_position_embeddings", 77),
                TypeVocabularySize = 0,
                PadTokenId = fields.Id("pad_token_id", 1),
                EosTokenId = fields.Id("eos_token_id", 49407),
                ProjectionWidth = top.Size("projection_dim", 512),
            },
            source);
    }

    /// <summary>The configuration of one side of a whole CLIP.</summary>
    /// <param name="clip">A configuration that was read already.</param>
    /// <param name="key"><c>text_config</c> or <c>vision_config</c>.</param>
    /// <returns>A copy.</returns>
    internal static JsonObject ClipPart(JsonObject clip, string key) => (JsonObject)clip[ClipKey(k => clip[k] is not null, key)]!.DeepClone();

    // Where an older file has "text_config_dict" or "vision_config_dict" as well, the published framework takes that one.
    private static JsonFields ClipSide(JsonFields top, string key) => top.Object(ClipKey(top.Has, key));

    private static string ClipKey(Func<string, bool> has, string key) => has(key + "_dict") ? key + "_dict" : key;

    private static T Checked<T>(T config, string source)
        where T : EncoderConfig => config.Width % config.Heads == 0
            ? config
            : throw new UserErrorException(
                string.Create(CultureInfo.InvariantCulture, $"{source}: {config.Heads} heads do not divide the width {config.Width}"), "check num_attention_heads and hidden_size");

    private static string? ModelTypeOf(JsonObject config) =>
        config["model_type"] is JsonValue value && value.TryGetValue(out string? text) ? text : null;

    private static UserErrorException UnknownType(string source, string modelType, string side, string known) => new(
        modelType.Length == 0 ? $"{source} has no model_type" : $"{source}: model_type '{modelType}' is not a known {side} tower", $"known ones: {known}");
}
