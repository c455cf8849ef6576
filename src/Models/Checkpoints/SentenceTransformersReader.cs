using System.Text.Json.Nodes;
using CrossAlign.Kernels;
using CrossAlign.Models.Encoders;

namespace CrossAlign.Models.Checkpoints;

/// <summary>
/// Reads the files of a sentence-transformers folder, of releases 2 to 5 of that library and with its defaults. What a file asks for
/// and is not computed here is an error that names file and key.
/// </summary>
internal static class SentenceTransformersReader
{
    private const string Mend = "fetch the checkpoint again";
    private const string KnownModules = "known ones, in this order: Transformer, Pooling, any number of Dense, Normalize; or CLIPModel alone";
    private const string ModulesName = "modules.json";

    // The first that is there; the library looks for them in this order.
    private static readonly string[] s_limitFiles =
    [
        "sentence_bert_config.json", "sentence_roberta_config.json", "sentence_distilbert_config.json",
        "sentence_camembert_config.json", "sentence_albert_config.json", "sentence_xlm-roberta_config.json", "sentence_xlnet_config.json",
    ];

    private static readonly string[] s_otherPoolingKeys = ["word_embedding_dimension", "embedding_dimension", "pooling_mode", "include_prompt"];

    /// <summary>Reads what a folder declares.</summary>
    /// <param name="folder">A checkpoint folder.</param>
    /// <returns>The settings.</returns>
    /// <exception cref="UserErrorException">A file is not sound, or declares what is not computed here.</exception>
    public static SentenceTransformersSettings Read(string folder)
    {
        SentenceTransformersSettings settings = SentenceTransformersSettings.None;
        string modules = Path.Combine(folder, ModulesName);
        if (File.Exists(modules))
        {
            settings = ReadModules(folder, modules);
        }

        string tower = TowerIn(folder);
        if (s_limitFiles.Select(f => Path.Combine(tower, f)).FirstOrDefault(File.Exists) is string limits)
        {
            JsonFields fields = Fields(limits);
            settings = settings with { MaxTokens = fields.OptionalSize("max_seq_length"), LowerCase = fields.Flag("do_lower_case", false) };
        }

        string tokenizer = Path.Combine(tower, "tokenizer_config.json");
        if (settings.MaxTokens is null && File.Exists(tokenizer))
        {
            // Published tokenizers without a limit name a number of thirty digits here.
            double limit = Fields(tokenizer).OptionalNumber("model_max_length") ?? double.MaxValue;
            settings = limit <= JsonFields.LargestSize ? settings with { MaxTokens = Math.Max(1, (int)limit) } : settings;
        }

        string prompts = Path.Combine(folder, "config_sentence_transformers.json");
        return File.Exists(prompts) ? ReadPrompts(settings, prompts) : settings;
    }

    /// <summary>Where a folder's tower lies with its configuration, weights and tokenizer: the folder itself, or the one that its first module is declared in.</summary>
    /// <param name="folder">A checkpoint folder; it need not exist.</param>
    /// <returns>The folder of the tower.</returns>
    /// <exception cref="UserErrorException">There is a <c>modules.json</c>, and it is not sound.</exception>
    public static string TowerIn(string folder)
    {
        string path = Path.Combine(folder, ModulesName);
        (string? kind, string? subfolder) = File.Exists(path) ? TypesOf(JsonFile.ReadArray(path, Mend), path).FirstOrDefault() : default;
        return kind is "Transformer" or "CLIPModel" && !string.IsNullOrEmpty(subfolder) ? Path.Combine(folder, subfolder) : folder;
    }

    private static JsonFields Fields(string path) => new(JsonFile.ReadObject(path, Mend), $"'{path}'");

    private static SentenceTransformersSettings ReadModules(string folder, string path)
    {
        SentenceTransformersSettings settings = new() { Normalize = false };
        int stage = 0;
        foreach ((string kind, string subfolder) in TypesOf(JsonFile.ReadArray(path, Mend), path))
        {
            switch (kind)
            {
                case "Transformer" when stage == 0:
                    stage = 1;
                    break;
                case "CLIPModel" when stage == 0:
                    // Pools by itself.
                    stage = 2;
                    break;
                case "Pooling" when stage == 1:
                    settings = ReadPooling(settings, Path.Combine(folder, subfolder, "config.json"));
                    stage = 2;
                    break;
                case "Dense" when stage == 2 && subfolder.Length > 0:
                    settings = settings with { DenseFolders = [.. settings.DenseFolders, Path.Combine(folder, subfolder)] };
                    break;
                case "Normalize" when stage >= 2:
                    settings = settings with { Normalize = true };
                    stage = 3;
                    break;
                default:
                    throw new UserErrorException(
                        $"'{path}' declares a module '{kind}'{(subfolder.Length == 0 ? "" : $" in '{subfolder}'")}, which is not computed here, or not at this place", KnownModules);
            }
        }

        return stage >= 2 ? settings : throw new UserErrorException($"'{path}' declares no Pooling behind a Transformer{(stage == 0 ? ": no module at all" : "")}", KnownModules);
    }

    private static SentenceTransformersSettings ReadPooling(SentenceTransformersSettings settings, string path)
    {
        JsonObject json = JsonFile.ReadObject(path, Mend);
        JsonFields fields = new(json, $"'{path}'");
        if (json.Select(p => p.Key).FirstOrDefault(k => !s_otherPoolingKeys.Contains(k) && !PoolingModes.Flags.Any(m => m.Flag == k)) is string unknown)
        {
            throw new UserErrorException($"'{path}' asks for '{unknown}', which is not known here", "known are the keys of sentence-transformers 2 to 5");
        }

        PoolingKind[] modes = fields.Has("pooling_mode") ? NamedModes(json["pooling_mode"]!, fields, path) : [.. PoolingModes.Flags.Where(m => fields.Flag(m.Flag, false)).Select(m => m.Kind)];

        // The library, which writes every flag, takes the mean for on where it is not named: beside another one, which nobody means who names just that.
        if (modes.Length == 0 && !fields.Has("pooling_mode") && !fields.Has("pooling_mode_mean_tokens"))
        {
            modes = [PoolingKind.Mean];
        }

        return settings with
        {
            Pooling = modes.Length > 0
                ? new PoolingModes(modes)
                : throw new UserErrorException($"'{path}' has every pooling_mode off, which gives no vector", "set pooling_mode_mean_tokens, or what the model was trained with"),
            IncludesPrompt = fields.Flag("include_prompt", true),
            PooledWidth = fields.OptionalSize("word_embedding_dimension") ?? fields.OptionalSize("embedding_dimension"),
        };
    }

    // A name, or a list of names in the order of their vectors.
    private static PoolingKind[] NamedModes(JsonNode node, JsonFields fields, string path)
    {
        JsonNode?[] items = node is JsonArray list ? [.. list] : [node];
        return [.. items.Select(item => item is JsonValue value && value.TryGetValue(out string? name) ? KindOf(name) : throw fields.Wrong("pooling_mode", "a text, or a list of texts"))];

        PoolingKind KindOf(string name) => PoolingModes.FindPublished(name)
            ?? throw new UserErrorException($"'{path}' pools by {name}, which is not known here", $"known ones: {string.Join(", ", PoolingModes.Flags.Select(f => PoolingModes.PublishedNameOf(f.Kind)))}");
    }

    private static SentenceTransformersSettings ReadPrompts(SentenceTransformersSettings settings, string path)
    {
        JsonFields fields = Fields(path);
        SortedDictionary<string, string> prompts = new(StringComparer.Ordinal);
        if (fields.Has("prompts"))
        {
            JsonFields texts = fields.Object("prompts");
            foreach (string name in texts.Keys)
            {
                prompts[name] = texts.OptionalText(name) ?? throw texts.Wrong(name, "a text");
            }
        }

        string? standard = fields.OptionalText("default_prompt_name");
        return standard is null || prompts.ContainsKey(standard)
            ? settings with { Prompts = prompts, DefaultPromptName = standard }
            : throw new UserErrorException($"'{path}': default_prompt_name '{standard}' is no prompt of the file", "mend the file");
    }

    private static IEnumerable<(string Kind, string Folder)> TypesOf(JsonArray modules, string path)
    {
        for (int i = 0; i < modules.Count; i++)
        {
            JsonFields module = new(
                modules[i] as JsonObject ?? throw new UserErrorException(FormattableString.Invariant($"'{path}': module {i} is no object"), Mend),
                FormattableString.Invariant($"'{path}', module {i}"));
            string type = module.OptionalText("type") ?? throw module.Wrong("type", "a text");
            string folder = module.Text("path", "");
            if (folder.Split('/', '\\').Contains("..") || Path.IsPathRooted(folder) || folder.Contains('\0', StringComparison.Ordinal))
            {
                throw new UserErrorException($"'{path}' has the module '{folder}' outside of the folder", Mend);
            }

            yield return (type[(type.LastIndexOf('.') + 1)..], folder);
        }
    }
}
