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
    public PoolingModes? Pooling { get; init; }

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

    /// <summary>Whether texts are put into lower case before they are tokenized.</summary>
    public bool LowerCase { get; init; }

    /// <summary>Whether the tokens of a prompt, the one in front of the text included, are pooled.</summary>
    public bool IncludesPrompt { get; init; } = true;

    /// <summary>The width of the rows that the declared pooling takes; null where the folder says nothing.</summary>
    public int? PooledWidth { get; init; }

    /// <summary>Reads what a folder declares.</summary>
    /// <param name="folder">A checkpoint folder.</param>
    /// <returns>The settings; <see cref="None"/>'s values where the folder is no sentence-transformers folder.</returns>
    /// <exception cref="UserErrorException">A file is not readable, or declares a module or a pooling that is not computed here.</exception>
    public static SentenceTransformersSettings Read(string folder) => SentenceTransformersReader.Read(folder);

    /// <summary>Compares the width that the folder's pooling was made for with its tower's.</summary>
    /// <param name="folder">The folder, for people.</param>
    /// <param name="width">The tower's width.</param>
    /// <exception cref="UserErrorException">They differ.</exception>
    internal void RequireWidth(string folder, int width)
    {
        if (PooledWidth is int pooled && pooled != width)
        {
            throw new UserErrorException(
                FormattableString.Invariant($"'{folder}' declares a pooling of rows of {pooled} numbers (word_embedding_dimension), but its tower gives rows of {width} (hidden_size)"),
                "take the pooling that belongs to this tower");
        }
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
        CheckpointFolder.WriteJson(Path.Combine(folder, "1_Pooling", "config.json"), PoolingJson(width));
        CheckpointFolder.WriteJson(
            Path.Combine(folder, "sentence_bert_config.json"), new JsonObject { ["max_seq_length"] = MaxTokens, ["do_lower_case"] = LowerCase });
        JsonObject prompts = [];
        foreach ((string name, string text) in Prompts)
        {
            prompts[name] = text;
        }

        // Also where there are none: a file that was copied from elsewhere must not name one.
        CheckpointFolder.WriteJson(
            Path.Combine(folder, "config_sentence_transformers.json"), new JsonObject { ["prompts"] = prompts, ["default_prompt_name"] = DefaultPromptName });

        static JsonObject Module(int index, string path, string kind) => new()
        {
            ["idx"] = index,
            ["name"] = index.ToString(System.Globalization.CultureInfo.InvariantCulture),
            ["path"] = path,
            ["type"] = "sentence_transformers.models." + kind,
        };
    }

    // The older form, which every release reads; it has an order of its own and each pooling once.
    private JsonObject PoolingJson(int width)
    {
        PoolingModes modes = Pooling ?? PoolingKind.Mean;
        PoolingKind[] ordered = [.. PoolingModes.Flags.Select(f => f.Kind).Where(k => modes.Kinds.Contains(k))];
        if (!modes.Kinds.SequenceEqual(ordered))
        {
            return new JsonObject
            {
                ["embedding_dimension"] = width,
                ["pooling_mode"] = new JsonArray([.. modes.Kinds.Select(k => (JsonNode)PoolingModes.PublishedNameOf(k))]),
                ["include_prompt"] = IncludesPrompt,
            };
        }

        JsonObject json = new() { ["word_embedding_dimension"] = width };
        foreach ((string flag, PoolingKind kind) in PoolingModes.Flags)
        {
            json[flag] = modes.Kinds.Contains(kind);
        }

        json["include_prompt"] = IncludesPrompt;
        return json;
    }
}
