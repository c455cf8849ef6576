using System.Text.Json.Nodes;

namespace CrossAlign.Models.Encoders;

/// <summary>A text tower's configuration.</summary>
public sealed record TextEncoderConfig : EncoderConfig
{
    /// <summary>Rows of the word embeddings, V.</summary>
    public required int VocabularySize { get; init; }

    /// <summary>Rows of the position embeddings.</summary>
    public required int Positions { get; init; }

    /// <summary>Rows of the token type embeddings; 0 for none (CLIP).</summary>
    public int TypeVocabularySize { get; init; } = 1;

    /// <summary>The id of the padding token, as far as position ids depend on it (XLM-R and its relatives).</summary>
    public int PadTokenId { get; init; } = 1;

    /// <summary>The id of the end token, where a text is read out (CLIP); 2 stands for "the highest id", as in the published code.</summary>
    public int EosTokenId { get; init; } = 2;

    /// <summary>Whether a token attends only to itself and those before it (CLIP).</summary>
    public bool IsCausal => ModelType == "clip_text_model";

    /// <summary>Whether position ids count from <see cref="PadTokenId"/> + 1 over real tokens (RoBERTa) rather than from 0.</summary>
    public bool PositionsFollowPad => ModelType is "roberta" or "xlm-roberta" or "roberta-prelayernorm";

    /// <summary>The most tokens that a text can have.</summary>
    public int MaxTokens => PositionsFollowPad ? Positions - PadTokenId - 1 : Positions;

    /// <summary>The configuration of a tower that is trained from scratch.</summary>
    /// <param name="modelType"><c>roberta-prelayernorm</c>, <c>xlm-roberta</c>, <c>roberta</c> or <c>bert</c>.</param>
    /// <param name="vocabularySize">Rows of the word embeddings.</param>
    /// <param name="maxTokens">The most tokens that a text can have.</param>
    /// <param name="width">Width C.</param>
    /// <param name="layers">Number of blocks.</param>
    /// <param name="heads">Number of heads; divides <paramref name="width"/>.</param>
    /// <param name="feedForward">Width of the feed-forward layer.</param>
    /// <param name="dropout">Dropout everywhere.</param>
    /// <returns>The configuration, with the ids of XLM-R's special tokens (0, 1, 2).</returns>
    /// <exception cref="UserErrorException">The architecture is unknown or a size impossible.</exception>
    public static TextEncoderConfig Create(
        string modelType, int vocabularySize, int maxTokens, int width, int layers, int heads, int feedForward, float dropout = 0)
    {
        string architecture = modelType switch
        {
            "roberta-prelayernorm" => "RobertaPreLayerNormModel",
            "xlm-roberta" => "XLMRobertaModel",
            "roberta" => "RobertaModel",
            "bert" => "BertModel",
            _ => throw new UserErrorException(
                $"'{modelType}' is no text tower that can be trained from scratch", "use roberta-prelayernorm, xlm-roberta, roberta or bert"),
        };
        const int PadTokenId = 1;
        int positions = modelType == "bert" ? maxTokens : checked(maxTokens + PadTokenId + 1);
        JsonObject published = new()
        {
            ["architectures"] = new JsonArray(architecture),
            ["attention_probs_dropout_prob"] = dropout,
            ["bos_token_id"] = 0,
            ["eos_token_id"] = 2,
            ["hidden_act"] = "gelu",
            ["hidden_dropout_prob"] = dropout,
            ["hidden_size"] = width,
            ["initializer_range"] = 0.02,
            ["intermediate_size"] = feedForward,
            ["layer_norm_eps"] = 1e-5,
            ["max_position_embeddings"] = positions,
            ["model_type"] = modelType,
            ["num_attention_heads"] = heads,
            ["num_hidden_layers"] = layers,
            ["pad_token_id"] = PadTokenId,
            ["position_embedding_type"] = "absolute",
            ["torch_dtype"] = "float32",
            ["type_vocab_size"] = 1,
            ["vocab_size"] = vocabularySize,
        };
        return EncoderConfigReader.ReadText(published, "the text tower's configuration") with { HasPooler = true };
    }
}
