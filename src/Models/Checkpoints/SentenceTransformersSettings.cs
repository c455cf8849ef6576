using System.Text.Json;
using System.Text.Json.Nodes;
using CrossAlign.Kernels;
using CrossAlign.Models.Encoders;

namespace CrossAlign.Models.Checkpoints;

/// <summary>
/// What a sentence-transformers folder declares beside its tower: <c>modules.json</c> with its pooling and normalisation,
/// <c>config_sentence_transformers.json</c> with its prompts, <c>sentence_bert_config.json</c> with its longest text. What is
/// declared and not computed here is an error that names it, since leaving it out would change every vector.
/// </summary>
public sealed record SentenceTransformersSettings
{
    /// <summary>A folder that declares nothing.</summary>
    public static SentenceTransformersSettings None { get; } = new();

    /// <summary>The declared pooling; null where the folder says nothing.</summary>
    public PoolingKind? Pooling { get; init; }

    /// <summary>Whether rows are divided by their norm; null where the folder says nothing.</summary>
    public bool? Normalize { get; init; }

    /// <summary>The folders of dense layers behind the pooling, in order; empty for none.</summary>
    public IReadOnlyList<string> DenseFolders { get; init; } = [];

    /// <summary>The most tokens of a text; null where the folder says nothing.</summary>
    public int? MaxTokens { get; init; }

    /// <summary>What is put before a text, by the prompt's name (<c>query</c>, <c>passage</c>).</summary>
    public IReadOnlyDictionary<string, string> Prompts { get; init; } = new SortedDictionary<string, string>(StringComparer.Ordinal);

    /// <summary>The prompt that is used unless another is named; null for none.</summary>
    public string? DefaultPromptName { get; init; }

    /// <summary>The text of <see cref="DefaultPromptName"/>; empty for none.</summary>
    public string DefaultPrompt => DefaultPromptName is not null && Prompts.TryGetValue(DefaultPromptName, out string? text) ? text : "";

    /// <summary>Reads what a folder declares.</summary>
    /// <param name="folder">A checkpoint folder.</param>
    /// <returns>The settings; <see cref="None"/>'s values where the folder is no sentence-transformers folder.</returns>
    /// <exception cref="UserErrorException">A file is not readable, or declares a module or a pooling that is not computed here.</exception>
    public static SentenceTransformersSettings Read(string folder)
    {
        SentenceTransformersSettings settings = None;
        string modules = Path.Combine(folder, "modules.json");
        if (File.Exists(modules))
        {
            settings = ReadModules(folder, modules);
        }

        string limits = Path.Combine(folder, "sentence_bert_config.json");
        if (File.Exists(limits) && EncoderConfigReader.ReadFile(limits)["max_seq_length"] is JsonValue limit && limit.TryGetValue(out int tokens) && tokens > 0)
        {
            settings = settings with { MaxTokens = tokens };
        }

        string prompts = Path.Combine(folder, "config_sentence_transformers.json");
        return File.Exists(prompts) ? ReadPrompts(settings, prompts) : settings;
    }

    /// <summary>Writes the files that <see cref="Read"/> reads, so that the published library pools as this model does.</summary>
    /// <param name="folder">The checkpoint folder of a text tower.</param>
    /// <param name="width">The tower's width.</param>
    /// <exception cref="UserErrorException">A file cannot be written.</exception>
    public void Write(string folder, int width)
    {
        JsonArray modules = [Module(0, "", "Transformer"), Module(1, "1_Pooling", "Pooling")];
        if (Normalize == true)
        {
            modules.Add(Module(2, "2_Normalize", "Normalize"));
        }

        CheckpointFolder.WriteJson(Path.Combine(folder, "modules.json"), modules);
        CheckpointFolder.WriteJson(Path.Combine(folder, "1_Pooling", "config.json"), new JsonObject
        {
            ["word_embedding_dimension"] = width,
            ["pooling_mode_cls_token"] = Pooling == PoolingKind.Cls,
            ["pooling_mode_mean_tokens"] = Pooling is null or PoolingKind.Mean,
            ["pooling_mode_max_tokens"] = false,
            ["pooling_mode_mean_sqrt_len_tokens"] = false,
            ["pooling_mode_weightedmean_tokens"] = false,
            ["pooling_mode_lasttoken"] = Pooling == PoolingKind.Eos,
            ["include_prompt"] = true,
        });
        CheckpointFolder.WriteJson(
            Path.Combine(folder, "sentence_bert_config.json"), new JsonObject { ["max_seq_length"] = MaxTokens, ["do_lower_case"] = false });
        if (Prompts.Count > 0)
        {
            JsonObject prompts = [];
            foreach ((string name, string text) in Prompts)
            {
                prompts[name] = text;
            }

            CheckpointFolder.WriteJson(
                Path.Combine(folder, "config_sentence_transformers.json"), new JsonObject { ["prompts"] = prompts, ["default_prompt_name"] = DefaultPromptName });
        }

        static JsonObject Module(int index, string path, string kind) => new()
        {
            ["idx"] = index,
            ["name"] = index.ToString(System.Globalization.CultureInfo.InvariantCulture),
            ["path"] = path,
            ["type"] = "sentence_transformers.models." + kind,
        };
    }

    private static SentenceTransformersSettings ReadModules(string folder, string path)
    {
        SentenceTransformersSettings settings = new() { Normalize = false };
        foreach ((string kind, string subfolder) in TypesOf(ReadArray(path), path))
        {
            switch (kind)
            {
                case "Transformer" when subfolder.Length == 0:
                    break;
                case "Normalize":
                    settings = settings with { Normalize = true };
                    break;
                case "Dense" when subfolder.Length > 0 && settings.Normalize != true:
                    settings = settings with { DenseFolders = [.. settings.DenseFolders, Path.Combine(folder, subfolder)] };
                    break;
                case "Pooling":
                    settings = settings with { Pooling = ReadPooling(Path.Combine(folder, subfolder, "config.json")) };
                    break;
                default:
                    throw new UserErrorException(
                        $"'{path}' declares a module '{kind}'{(subfolder.Length == 0 ? "" : $" in '{subfolder}'")}, which is not computed here",
                        "known ones: Transformer in the folder itself, Pooling, Dense, Normalize at the end");
            }
        }

        return settings;
    }

    private static PoolingKind ReadPooling(string path)
    {
        JsonObject json = EncoderConfigReader.ReadFile(path);

        // Older files have one flag a mode, newer ones a single name.
        List<string> modes = [];
        if (json["pooling_mode"] is JsonValue named && named.TryGetValue(out string? mode))
        {
            modes.Add(mode);
        }
        else
        {
            modes.AddRange(json.Where(p => p.Key.StartsWith("pooling_mode_", StringComparison.Ordinal) && p.Value is JsonValue v && v.TryGetValue(out bool on) && on)
                .Select(p => p.Key["pooling_mode_".Length..]));
        }

        return modes switch
        {
            ["mean_tokens" or "mean"] => PoolingKind.Mean,
            ["cls_token" or "cls"] => PoolingKind.Cls,
            ["lasttoken"] => PoolingKind.Eos,
            [] => PoolingKind.Mean,
            _ => throw new UserErrorException($"'{path}' pools by {string.Join(" and ", modes)}, which is not computed here", "known ones: mean, cls, last token"),
        };
    }

    private static SentenceTransformersSettings ReadPrompts(SentenceTransformersSettings settings, string path)
    {
        JsonObject json = EncoderConfigReader.ReadFile(path);
        SortedDictionary<string, string> prompts = new(StringComparer.Ordinal);
        if (json["prompts"] is JsonObject declared)
        {
            foreach ((string name, JsonNode? text) in declared)
            {
                prompts[name] = text is JsonValue value && value.TryGetValue(out string? prompt)
                    ? prompt
                    : throw new UserErrorException($"'{path}': the prompt '{name}' is no text", "mend the file");
            }
        }

        string? standard = json["default_prompt_name"] is JsonValue given && given.TryGetValue(out string? found) ? found : null;
        return standard is null || prompts.ContainsKey(standard)
            ? settings with { Prompts = prompts, DefaultPromptName = standard }
            : throw new UserErrorException($"'{path}': default_prompt_name '{standard}' is no prompt of the file", "mend the file");
    }

    private static JsonArray ReadArray(string path)
    {
        try
        {
            return JsonNode.Parse(File.ReadAllBytes(path)) as JsonArray ?? throw new UserErrorException($"'{path}' holds no list of modules", "fetch the checkpoint again");
        }
        catch (Exception e) when (e is JsonException or IOException or UnauthorizedAccessException)
        {
            throw new UserErrorException($"'{path}' could not be read: {e.Message}", "fetch the checkpoint again", e);
        }
    }

    private static IEnumerable<(string Kind, string Folder)> TypesOf(JsonArray modules, string path)
    {
        foreach (JsonNode? module in modules)
        {
            string? type = module?["type"] is JsonValue t && t.TryGetValue(out string? text) ? text : null;
            string? folder = module?["path"] is JsonValue p && p.TryGetValue(out string? given) ? given : "";
            if (type is null || folder.Contains("..", StringComparison.Ordinal) || Path.IsPathRooted(folder))
            {
                throw new UserErrorException($"'{path}' has a module without a type, or one outside of the folder", "fetch the checkpoint again");
            }

            yield return (type[(type.LastIndexOf('.') + 1)..], folder);
        }
    }
}
