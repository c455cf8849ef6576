using System.Text.Json.Nodes;

namespace CrossAlign.Models.Encoders;

/// <summary>An image tower's configuration.</summary>
public sealed record ImageEncoderConfig : EncoderConfig
{
    /// <summary>Height and width of the pictures that the position embeddings are made for.</summary>
    public required int ImageSize { get; init; }

    /// <summary>Height and width of a patch, P.</summary>
    public required int PatchSize { get; init; }

    /// <summary>Whether the query, key and value layers have a bias.</summary>
    public bool HasQueryKeyValueBias { get; init; } = true;

    /// <summary>Whether this is CLIP's tower: no bias in the patch projection, a LayerNorm before the blocks, the last LayerNorm on the pooled row only.</summary>
    public bool IsClip => ModelType == "clip_vision_model";

    /// <summary>Patches along one side of a picture of <see cref="ImageSize"/>.</summary>
    public int GridSize => ImageSize / PatchSize;

    /// <summary>The configuration of a tower that is trained from scratch.</summary>
    /// <param name="modelType"><c>vit</c>.</param>
    /// <param name="imageSize">Height and width of the pictures.</param>
    /// <param name="patchSize">Height and width of a patch; divides <paramref name="imageSize"/>.</param>
    /// <param name="width">Width C.</param>
    /// <param name="layers">Number of blocks.</param>
    /// <param name="heads">Number of heads; divides <paramref name="width"/>.</param>
    /// <param name="feedForward">Width of the feed-forward layer.</param>
    /// <param name="dropout">Dropout everywhere.</param>
    /// <returns>The configuration; with a pooler, as the published framework makes one.</returns>
    /// <exception cref="UserErrorException">The architecture is unknown or a size impossible.</exception>
    public static ImageEncoderConfig Create(
        string modelType, int imageSize, int patchSize, int width, int layers, int heads, int feedForward, float dropout = 0)
    {
        if (modelType != "vit")
        {
            throw new UserErrorException($"'{modelType}' is no image tower that can be trained from scratch", "use vit");
        }

        JsonObject published = new()
        {
            ["architectures"] = new JsonArray("ViTModel"),
            ["attention_probs_dropout_prob"] = dropout,
            ["encoder_stride"] = patchSize,
            ["hidden_act"] = "gelu",
            ["hidden_dropout_prob"] = dropout,
            ["hidden_size"] = width,
            ["image_size"] = imageSize,
            ["initializer_range"] = 0.02,
            ["intermediate_size"] = feedForward,
            ["layer_norm_eps"] = 1e-5,
            ["model_type"] = modelType,
            ["num_attention_heads"] = heads,
            ["num_channels"] = 3,
            ["num_hidden_layers"] = layers,
            ["patch_size"] = patchSize,
            ["pooler_act"] = "tanh",
            ["pooler_output_size"] = width,
            ["qkv_bias"] = true,
            ["torch_dtype"] = "float32",
        };
        return EncoderConfigReader.ReadImage(published, "the image tower's configuration") with { HasPooler = true };
    }
}
