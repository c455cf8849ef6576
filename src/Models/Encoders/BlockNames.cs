using System.Globalization;

namespace CrossAlign.Models.Encoders;

/// <summary>The published names of one block's layers; each stands before <c>.weight</c> and <c>.bias</c>.</summary>
internal sealed record BlockNames(
    string Query, string Key, string Value, string AttentionOutput, string Norm1, string Norm2, string FeedForward1, string FeedForward2)
{
    /// <summary>The names of a block.</summary>
    /// <param name="modelType">The architecture.</param>
    /// <param name="layer">The block's number, from 0.</param>
    /// <returns>The names.</returns>
    public static BlockNames For(string modelType, int layer)
    {
        string i = layer.ToString(CultureInfo.InvariantCulture);
        return modelType switch
        {
            "clip_text_model" => Clip($"text_model.encoder.layers.{i}."),
            "clip_vision_model" => Clip($"vision_model.encoder.layers.{i}."),
            "vit" => Bert($"encoder.layer.{i}.", "attention.attention.", "layernorm_before", "layernorm_after"),
            "roberta-prelayernorm" => Bert($"encoder.layer.{i}.", "attention.self.", "attention.LayerNorm", "intermediate.LayerNorm"),
            _ => Bert($"encoder.layer.{i}.", "attention.self.", "attention.output.LayerNorm", "output.LayerNorm"),
        };
    }

    private static BlockNames Bert(string block, string attention, string norm1, string norm2) => new(
        block + attention + "query",
        block + attention + "key",
        block + attention + "value",
        block + "attention.output.dense",
        block + norm1,
        block + norm2,
        block + "intermediate.dense",
        block + "output.dense");

    private static BlockNames Clip(string block) => new(
        block + "self_attn.q_proj",
        block + "self_attn.k_proj",
        block + "self_attn.v_proj",
        block + "self_attn.out_proj",
        block + "layer_norm1",
        block + "layer_norm2",
        block + "mlp.fc1",
        block + "mlp.fc2");
}
