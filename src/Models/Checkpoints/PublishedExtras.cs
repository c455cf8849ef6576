using CrossAlign.Models.Encoders;

namespace CrossAlign.Models.Checkpoints;

/// <summary>
/// What published checkpoints carry beside a tower, name by name: the heads of the published task models, buffers that older files
/// keep, and of a whole CLIP the other tower. Everything else in a checkpoint is unexpected. Also what may stand before a tower's names.
/// </summary>
internal sealed class PublishedExtras
{
    private static readonly string[] s_tokenBuffers = ["embeddings.position_ids", "embeddings.token_type_ids"];

    private static readonly string[] s_bertHeads =
    [
        "cls.predictions.bias", "cls.predictions.decoder.weight", "cls.predictions.decoder.bias",
        "cls.predictions.transform.dense.weight", "cls.predictions.transform.dense.bias",
        "cls.predictions.transform.LayerNorm.weight", "cls.predictions.transform.LayerNorm.bias",
        "cls.predictions.transform.LayerNorm.gamma", "cls.predictions.transform.LayerNorm.beta",
        "cls.seq_relationship.weight", "cls.seq_relationship.bias",
        "classifier.weight", "classifier.bias", "qa_outputs.weight", "qa_outputs.bias",
    ];

    private static readonly string[] s_robertaHeads =
    [
        "lm_head.bias", "lm_head.decoder.weight", "lm_head.decoder.bias", "lm_head.dense.weight", "lm_head.dense.bias",
        "lm_head.layer_norm.weight", "lm_head.layer_norm.bias",
        "classifier.weight", "classifier.bias", "classifier.dense.weight", "classifier.dense.bias", "classifier.out_proj.weight", "classifier.out_proj.bias",
        "qa_outputs.weight", "qa_outputs.bias",
    ];

    private static readonly string[] s_vitHeads = ["classifier.weight", "classifier.bias", "decoder.0.weight", "decoder.0.bias"];

    // Programs of their own that hold an encoder give it one of these names, and its heads stand within.
    private static readonly string[] s_wrappers = ["", "model.", "text_encoder.", "image_encoder."];

    private readonly HashSet<string> _heads = new(StringComparer.Ordinal);
    private readonly HashSet<string> _buffers = new(StringComparer.Ordinal);
    private readonly List<string> _otherTowers = [];
    private string[] _prefixes = [string.Empty];

    private PublishedExtras()
    {
    }

    /// <summary>No extras: a file that holds what is loaded from it, and nothing else.</summary>
    public static PublishedExtras None { get; } = new();

    /// <summary>What may stand before the towers' own names: nothing, what the published task models of the architecture put there, or what programs of their own do.</summary>
    public IReadOnlyList<string> Prefixes => _prefixes;

    /// <summary>What stands beside towers that are loaded from one checkpoint.</summary>
    /// <param name="towers">The towers' configurations.</param>
    /// <returns>Their extras.</returns>
    public static PublishedExtras Of(params ReadOnlySpan<EncoderConfig> towers)
    {
        PublishedExtras extras = new();
        foreach (EncoderConfig tower in towers)
        {
            extras.Add(tower, isAlone: towers.Length == 1);
        }

        extras._prefixes = towers.Length == 1 ? PrefixesOf(towers[0]) : [string.Empty, "model."];

        return extras;
    }

    /// <summary>Whether a tensor is one of them.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="prefix">What stands before the tower's own names in the checkpoint.</param>
    /// <returns>True for a tensor that is no surprise.</returns>
    public bool Contains(string name, string prefix)
    {
        string inner = name.StartsWith(prefix, StringComparison.Ordinal) ? name[prefix.Length..] : string.Empty;
        return _heads.Contains(name) || _buffers.Contains(inner) || (s_wrappers.Contains(prefix) && _heads.Contains(inner))
            || _otherTowers.Exists(o => name.StartsWith(o, StringComparison.Ordinal));
    }

    // The published framework's base_model_prefix; a CLIP tower's stands in its names.
    private static string[] PrefixesOf(EncoderConfig tower)
    {
        string? own = tower.ModelType switch
        {
            "bert" => "bert.",
            "xlm-roberta" or "roberta" => "roberta.",
            "roberta-prelayernorm" => "roberta_prelayernorm.",
            "vit" => "vit.",
            _ => null,
        };
        string wrapper = tower is TextEncoderConfig ? "text_encoder." : "image_encoder.";
        return own is null ? [string.Empty, "model.", wrapper] : [string.Empty, own, "model.", wrapper];
    }

    private void Add(EncoderConfig tower, bool isAlone)
    {
        // Who makes a tower without the pooler leaves it in the file.
        if (!tower.HasPooler && tower.ProjectionWidth == 0)
        {
            _buffers.UnionWith(["pooler.dense.weight", "pooler.dense.bias"]);
        }

        switch (tower.ModelType)
        {
            case "bert":
                _buffers.UnionWith(s_tokenBuffers);
                _heads.UnionWith(s_bertHeads);
                break;
            case "xlm-roberta" or "roberta" or "roberta-prelayernorm":
                _buffers.UnionWith(s_tokenBuffers);
                _heads.UnionWith(s_robertaHeads);
                break;
            case "vit":
                _buffers.Add("embeddings.mask_token");
                _heads.UnionWith(s_vitHeads);
                break;
            case "clip_text_model":
                AddClip(tower, isAlone, "text_model.", CheckpointFolder.TextProjection, "vision_model.", CheckpointFolder.ImageProjection);
                break;
            case "clip_vision_model":
                AddClip(tower, isAlone, "vision_model.", CheckpointFolder.ImageProjection, "text_model.", CheckpointFolder.TextProjection);
                _heads.UnionWith(["classifier.weight", "classifier.bias"]);
                break;
        }
    }

    private void AddClip(EncoderConfig tower, bool isAlone, string own, string ownProjection, string other, string otherProjection)
    {
        _buffers.Add(own + "embeddings.position_ids");
        _heads.Add(ownProjection);

        // The file is the whole model's only where its configuration is.
        if (isAlone && tower.Published["model_type"]?.GetValue<string>() == "clip")
        {
            _heads.UnionWith([otherProjection, "logit_scale"]);
            _otherTowers.Add(other);
        }
    }
}
