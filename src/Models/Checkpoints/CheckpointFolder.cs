using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using CrossAlign.Models.Encoders;
using CrossAlign.Runtime;

namespace CrossAlign.Models.Checkpoints;

/// <summary>One tower as a published checkpoint folder: <c>config.json</c>, <c>model.safetensors</c>, and the files that belong to it.</summary>
public static class CheckpointFolder
{
    /// <summary>The file that decides the architecture.</summary>
    public const string ConfigName = "config.json";

    /// <summary>The published name of the layer behind CLIP's text tower.</summary>
    internal const string TextProjection = "text_projection.weight";

    /// <summary>The published name of the layer behind CLIP's image tower.</summary>
    internal const string ImageProjection = "visual_projection.weight";

    // What a published folder holds beside config and weights, as far as it stays true when the weights change.
    private static readonly string[] s_companions =
    [
        "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "sentencepiece.bpe.model", "spiece.model",
        "vocab.txt", "vocab.json", "merges.txt", "preprocessor_config.json", "processor_config.json", "modules.json", "sentence_bert_config.json",
        "config_sentence_transformers.json", "1_Pooling/config.json", "LICENSE", "LICENSE.txt",
    ];

    private static readonly JsonSerializerOptions s_indented = new() { WriteIndented = true, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>Reads the architecture of a folder's text tower, and compares its sizes with the folder's weights before anything of these sizes is made.</summary>
    /// <param name="folder">The folder.</param>
    /// <returns>The configuration.</returns>
    /// <exception cref="UserErrorException">The folder has none that is known here, or its weights are another's: every tensor that does not fit is listed.</exception>
    public static TextEncoderConfig ReadTextConfig(string folder)
    {
        TextEncoderConfig config = ReadTextArchitecture(folder);
        CheckSizes(folder, config, ParameterGroup.TextHead, store => new TextTower(config, store));
        return config;
    }

    /// <summary>Reads the architecture of a folder's image tower, and compares its sizes with the folder's weights before anything of these sizes is made.</summary>
    /// <param name="folder">The folder.</param>
    /// <returns>The configuration.</returns>
    /// <exception cref="UserErrorException">The folder has none that is known here, or its weights are another's: every tensor that does not fit is listed.</exception>
    public static ImageEncoderConfig ReadImageConfig(string folder)
    {
        ImageEncoderConfig config = ReadImageArchitecture(folder);
        CheckSizes(folder, config, ParameterGroup.ImageHead, store => new ImageTower(config, store));
        return config;
    }

    /// <summary>Reads what <see cref="ReadTextConfig"/> does, for whoever compares the tower's sizes with the weights together with others'.</summary>
    internal static TextEncoderConfig ReadTextArchitecture(string folder)
    {
        folder = SentenceTransformersReader.TowerIn(folder);
        TextEncoderConfig config = EncoderConfigReader.ReadText(ReadConfig(folder), $"'{Path.Combine(folder, ConfigName)}'");
        using CheckpointTensors tensors = CheckpointTensors.Open(folder);
        RequireFewLayers(folder, tensors, config);
        return config.IsCausal ? config : config with { HasPooler = CheckpointLoader.HasPooler(tensors, config) };
    }

    /// <summary>Reads what <see cref="ReadImageConfig"/> does, for whoever compares the tower's sizes with the weights together with others'.</summary>
    internal static ImageEncoderConfig ReadImageArchitecture(string folder)
    {
        folder = SentenceTransformersReader.TowerIn(folder);
        ImageEncoderConfig config = EncoderConfigReader.ReadImage(ReadConfig(folder), $"'{Path.Combine(folder, ConfigName)}'");
        using CheckpointTensors tensors = CheckpointTensors.Open(folder);
        RequireFewLayers(folder, tensors, config);
        return config.IsClip ? config : config with { HasPooler = CheckpointLoader.HasPooler(tensors, config) };
    }

    /// <summary>The name of a parameter in a checkpoint that has its tower's projection beside it, as CLIP's have.</summary>
    internal static string NameBesideProjection(Parameter parameter) => parameter.Group switch
    {
        ParameterGroup.TextHead => TextProjection,
        ParameterGroup.ImageHead => ImageProjection,
        _ => parameter.PublishedName,
    };

    /// <summary>Reads a folder's <c>config.json</c>.</summary>
    /// <param name="folder">The folder.</param>
    /// <returns>The JSON object.</returns>
    /// <exception cref="UserErrorException">The folder or the file is missing, or it is no JSON object.</exception>
    public static JsonObject ReadConfig(string folder)
    {
        folder = SentenceTransformersReader.TowerIn(folder);
        if (!Directory.Exists(folder))
        {
            throw new UserErrorException($"there is no folder '{folder}'", "name a checkpoint folder with config.json and model.safetensors");
        }

        return EncoderConfigReader.ReadFile(Path.Combine(folder, ConfigName));
    }

    /// <summary>Loads the weights of a folder into a tower, strictly.</summary>
    /// <param name="folder">The folder.</param>
    /// <param name="tower">A tower of the folder's configuration.</param>
    /// <returns>What was loaded and what was ignored.</returns>
    /// <exception cref="UserErrorException">Tensors are missing, unexpected or mis-shaped; all are listed, nothing is changed.</exception>
    public static CheckpointReport Load(string folder, EncoderTower tower)
    {
        ArgumentNullException.ThrowIfNull(tower);
        using CheckpointTensors tensors = CheckpointTensors.Open(folder);
        return CheckpointLoader.Load(tensors, tower);
    }

    /// <summary>Writes a tower under its published names, in float32. The same weights give the same bytes.</summary>
    /// <param name="tower">The tower.</param>
    /// <param name="folder">Where; made where it is missing.</param>
    /// <exception cref="UserErrorException">A file cannot be written.</exception>
    public static void Save(EncoderTower tower, string folder)
    {
        ArgumentNullException.ThrowIfNull(tower);
        SafetensorsWriter writer = new SafetensorsWriter().WithMetadata("format", "pt");
        foreach (Parameter parameter in tower.OwnParameters)
        {
            writer.Add(parameter.PublishedName, parameter.Value);
        }

        writer.Save(Path.Combine(folder, CheckpointTensors.FileName));
        WriteJson(Path.Combine(folder, ConfigName), PublishedConfig(tower.Config));
    }

    /// <summary>Copies the files that belong to a published folder beside its weights: tokenizer, preprocessing, pooling, licence.</summary>
    /// <param name="from">A checkpoint folder.</param>
    /// <param name="to">Another; made where it is missing.</param>
    /// <returns>The names of the files copied.</returns>
    /// <exception cref="UserErrorException">A file cannot be read or written.</exception>
    public static IReadOnlyList<string> CopyCompanions(string from, string to)
    {
        IReadOnlyList<(string Name, byte[] Content)> files = ReadCompanions(from);
        foreach ((string name, byte[] content) in files)
        {
            AtomicFile.Write(Path.Combine(to, name), stream => stream.Write(content));
        }

        return [.. files.Select(f => f.Name)];
    }

    /// <summary>Reads the files that belong to a published folder beside its weights.</summary>
    /// <param name="folder">A checkpoint folder.</param>
    /// <returns>Names, with a slash where one lies in a folder of its own, and contents.</returns>
    /// <exception cref="UserErrorException">A file cannot be read.</exception>
    public static IReadOnlyList<(string Name, byte[] Content)> ReadCompanions(string folder)
    {
        List<(string Name, byte[] Content)> files = [];
        string tower = SentenceTransformersReader.TowerIn(folder);
        foreach (string name in s_companions)
        {
            // Where the tower has a folder of its own its files go beside the weights, and the list of modules, which would look for them there, stays behind.
            string path = Path.Combine(tower, name);
            path = File.Exists(path) || (tower != folder && name.StartsWith("modules", StringComparison.Ordinal)) ? path : Path.Combine(folder, name);
            if (!File.Exists(path))
            {
                continue;
            }

            try
            {
                files.Add((name, File.ReadAllBytes(path)));
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                throw new UserErrorException($"'{path}' could not be read: {e.Message}", "check its permissions", e);
            }
        }

        return files;
    }

    /// <summary>Whether a file that belongs to a published folder is a part of its tokenizer.</summary>
    /// <param name="name">The file's name.</param>
    /// <returns>True for vocabularies, merges, and what describes them.</returns>
    public static bool IsTokenizerFile(string name) => name is
        "tokenizer.json" or "tokenizer_config.json" or "special_tokens_map.json" or "added_tokens.json"
        or "sentencepiece.bpe.model" or "spiece.model" or "vocab.txt" or "vocab.json" or "merges.txt";

    /// <summary>Whether a file that belongs to a published folder belongs to an image tower alone: a whole CLIP's folder has the text tower's beside it.</summary>
    /// <param name="name">The file's name.</param>
    /// <returns>True for what says how pictures are prepared, and for the licence.</returns>
    public static bool IsImageFile(string name) => name is "preprocessor_config.json" or "processor_config.json" or "LICENSE" or "LICENSE.txt";

    internal static void WriteJson(string path, JsonNode json) => AtomicFile.WriteText(path, json.ToJsonString(s_indented) + "\n");

    /// <summary>The configuration of the tower alone: a task model's or a whole CLIP's is reduced to the encoder that is written.</summary>
    internal static JsonObject PublishedConfig(EncoderConfig config)
    {
        JsonObject json = (JsonObject)config.Published.DeepClone();
        if (config.ModelType is "clip_text_model" or "clip_vision_model" && json["model_type"]!.GetValue<string>() == "clip")
        {
            json = EncoderConfigReader.ClipPart(json, config.ModelType == "clip_text_model" ? "text_config" : "vision_config");
        }

        string architecture = config.ModelType switch
        {
            "xlm-roberta" => "XLMRobertaModel",
            "roberta" => "RobertaModel",
            "bert" => "BertModel",
            "roberta-prelayernorm" => "RobertaPreLayerNormModel",
            "vit" => "ViTModel",
            "clip_text_model" => "CLIPTextModel",
            _ => "CLIPVisionModel",
        };
        json["model_type"] = config.ModelType;
        json["architectures"] = new JsonArray(architecture);
        json.Remove("dtype");
        json["torch_dtype"] = "float32";

        // Keys in order, so that the bytes do not depend on where the configuration came from.
        JsonObject ordered = [];
        foreach (string key in json.Select(p => p.Key).Order(StringComparer.Ordinal).ToArray())
        {
            ordered[key] = json[key]?.DeepClone();
        }

        return ordered;
    }

    // Each block has a dozen tensors; this only keeps what is listed of missing ones in proportion to the file.
    private static void RequireFewLayers(string folder, CheckpointTensors tensors, EncoderConfig config)
    {
        if (config.Layers > tensors.Count)
        {
            throw new UserErrorException(
                FormattableString.Invariant($"'{Path.Combine(folder, ConfigName)}': num_hidden_layers is {config.Layers}, but the checkpoint has {tensors.Count} tensors"),
                "take the config.json that belongs to these weights");
        }
    }

    private static void CheckSizes(string folder, EncoderConfig config, ParameterGroup head, Func<ParameterStore, EncoderTower> make)
    {
        using CheckpointTensors tensors = CheckpointTensors.Open(folder);
        using PlanDevice plan = new();
        using ParameterStore store = new(plan);
        List<Parameter> parameters = [.. make(store).OwnParameters];
        if (config.ProjectionWidth > 0 && tensors.TryGetEntry(head == ParameterGroup.TextHead ? TextProjection : ImageProjection, out _))
        {
            parameters.Add(new Projection(head, "projection", config.Width, config.ProjectionWidth, hasBias: false, store).Weight);
        }

        CheckpointComparison.RequireAll(folder, CheckpointComparison.Of(tensors, parameters, NameBesideProjection, config.ModelType, PublishedExtras.Of(config)));
    }
}
