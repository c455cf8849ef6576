using System.Text.Json.Nodes;
using CrossAlign.Kernels;

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

    /// <summary>Whether texts are put into lower case before they are tokenized.</summary>
    public bool LowerCase { get; init; }

    /// <summary>Whether the tokens of a prompt, the one in front of the text included, belong to the mean.</summary>
    public bool IncludesPrompt { get; init; } = true;

    /// <summary>The width of the rows that the declared pooling takes; null where the folder says nothing.</summary>
    public int? PooledWidth { get; init; }

    /// <summary>Reads what a folder declares.</summary>
    /// <param name="folder">A checkpoint folder.</param>
    /// <returns>The settings; <see cref="None"/>'s values where the folder is no sentence-transformers folder.</returns>
    /// <exception cref="UserErrorException">A file is not readable, or declares a module or a pooling that is not computed here.</exception>
    public static SentenceTransformersSettings Read(string folder) => SentenceTransformersReader.Read(folder);

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
            ["include_prompt"] = IncludesPrompt,
        });
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
}
