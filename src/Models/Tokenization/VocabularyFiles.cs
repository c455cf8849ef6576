using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using CrossAlign.Models.Checkpoints;

namespace CrossAlign.Models.Tokenization;

/// <summary>
/// The older form of a published tokenizer, from before <c>tokenizer.json</c>: <c>vocab.txt</c> (BERT) or <c>vocab.json</c> with
/// <c>merges.txt</c> (CLIP, RoBERTa), and what <c>tokenizer_config.json</c>, <c>special_tokens_map.json</c> and <c>added_tokens.json</c>
/// say about them. It becomes the <c>tokenizer.json</c> that the published framework makes of it.
/// </summary>
/// <remarks>Source: the converters of the transformers library, release 4 (<c>convert_slow_tokenizer.py</c>), and the defaults of its tokenizers.</remarks>
internal sealed class VocabularyFiles
{
    /// <summary>BERT's pieces, one a line.</summary>
    public const string WordPieceName = "vocab.txt";

    /// <summary>The pieces of byte pairs.</summary>
    public const string BytePairName = "vocab.json";

    /// <summary>The joins of byte pairs, one a line.</summary>
    public const string MergesName = "merges.txt";

    // The largest published ones have some 10 MiB.
    private const int LargestByteCount = 64 << 20;

    private const string Mend = "download the tokenizer's files with the model again";
    private const string MaskKey = "mask_token";

    // CLIP's words and marks; the published pattern.
    private const string ClipPattern = """'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+""";

    private static readonly JsonWriterOptions s_writing = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    private readonly string _folder;
    private readonly JsonObject _config;
    private readonly JsonObject _special;
    private readonly Dictionary<string, int> _ids = new(StringComparer.Ordinal);

    private VocabularyFiles(string folder)
    {
        _folder = folder;
        _config = OptionalObject("tokenizer_config.json");
        _special = OptionalObject("special_tokens_map.json");
    }

    /// <summary>Whether a file is the one that such a tokenizer is named by.</summary>
    /// <param name="path">The file.</param>
    /// <returns>Whether its name says so.</returns>
    public static bool IsName(string path) => Path.GetFileName(path) is WordPieceName or BytePairName or MergesName;

    /// <summary>Reads the files.</summary>
    /// <param name="folder">The folder.</param>
    /// <param name="read">Reads a file, or says why it cannot be read.</param>
    /// <returns>A <c>tokenizer.json</c>.</returns>
    /// <exception cref="UserErrorException">A file is missing or damaged, or is of a kind that is not known here.</exception>
    public static byte[] ToTokenizerJson(string folder, Func<string, byte[]> read)
    {
        VocabularyFiles files = new(folder);
        return File.Exists(Path.Combine(folder, WordPieceName)) ? files.WordPiece(read) : files.BytePairs(read);
    }

    private byte[] WordPiece(Func<string, byte[]> read)
    {
        // As Python reads lines: \r\n and \r end one too, and of a piece that stands twice the later line counts.
        string path = Path.Combine(_folder, WordPieceName);
        byte[] bytes = read(path);
        string text = bytes.Length > LargestByteCount
            ? throw Bad(path, FormattableString.Invariant($"it has {bytes.Length >> 20} MiB, more than any vocabulary"))
            : Tokenizer.DecodeUtf8(bytes, $"'{path}'").Replace("\r\n", "\n", StringComparison.Ordinal).Replace('\r', '\n');
        string[] lines = (text.EndsWith('\n') ? text[..^1] : text).Split('\n');
        for (int id = 0; id < lines.Length && text.Length > 0; id++)
        {
            _ids[lines[id]] = id;
        }

        // Where nothing is declared release 4 lower-cases and release 5 does not: the pieces say what they were made for.
        bool lowercase = Flag("do_lower_case", !_ids.Keys.Any(p => !p.StartsWith('[') && p.Any(char.IsUpper)));
        string unknown = Name("unk_token", "[UNK]");
        string begin = Name("cls_token", "[CLS]");
        string end = Name("sep_token", "[SEP]");
        return Write(
            [("unk_token", unknown), ("sep_token", end), ("pad_token", Name("pad_token", "[PAD]")), ("cls_token", begin), (MaskKey, Name(MaskKey, "[MASK]"))],
            new JsonObject
            {
                ["type"] = "BertNormalizer",
                ["clean_text"] = true,
                ["handle_chinese_chars"] = Flag("tokenize_chinese_chars", true),
                ["strip_accents"] = _config["strip_accents"] is null ? null : Flag("strip_accents", lowercase),
                ["lowercase"] = lowercase,
            },
            new JsonObject { ["type"] = "BertPreTokenizer" },
            new JsonObject { ["type"] = "BertProcessing", ["sep"] = Pair(end), ["cls"] = Pair(begin) },
            new JsonObject { ["type"] = "WordPiece", ["prefix"] = "##", ["cleanup"] = true },
            json =>
            {
                json.WriteString("type", "WordPiece");
                json.WriteString("unk_token", unknown);
                json.WriteString("continuing_subword_prefix", "##");
                json.WriteNumber("max_input_chars_per_word", 100);
            });
    }

    private byte[] BytePairs(Func<string, byte[]> read)
    {
        string path = Path.Combine(_folder, BytePairName);
        foreach ((string piece, JsonNode? id) in JsonFile.ReadObject(path, Mend))
        {
            _ids[piece] = Id(id, path, piece);
        }

        string mergesPath = Path.Combine(_folder, MergesName);
        string[] merges = [.. Tokenizer.DecodeUtf8(read(mergesPath), $"'{mergesPath}'").ReplaceLineEndings("\n").Split('\n').Skip(1).Select(l => l.Trim(' ')).Where(l => l.Length > 0)];
        return IsClip() ? Clip(merges) : Roberta(merges);
    }

    private byte[] Clip(string[] merges)
    {
        const string End = "<|endoftext|>";
        string begin = Name("bos_token", "<|startoftext|>");
        string end = Name("eos_token", End);
        string unknown = Name("unk_token", End);
        return Write(
            [("bos_token", begin), ("eos_token", end), ("unk_token", unknown), ("pad_token", Name("pad_token", End))],
            new JsonObject
            {
                ["type"] = "Sequence",
                ["normalizers"] = new JsonArray(
                    new JsonObject { ["type"] = "NFC" },
                    new JsonObject { ["type"] = "Replace", ["pattern"] = new JsonObject { ["Regex"] = @"\s+" }, ["content"] = " " },
                    new JsonObject { ["type"] = "Lowercase" }),
            },
            new JsonObject
            {
                ["type"] = "Sequence",
                ["pretokenizers"] = new JsonArray(
                    new JsonObject { ["type"] = "Split", ["pattern"] = new JsonObject { ["Regex"] = ClipPattern }, ["behavior"] = "Removed", ["invert"] = true },
                    ByteLevel(prefixSpace: false)),
            },
            new JsonObject { ["type"] = "RobertaProcessing", ["sep"] = Pair(end), ["cls"] = Pair(begin), ["trim_offsets"] = false, ["add_prefix_space"] = false },
            ByteLevel(prefixSpace: true),
            json => WriteBytePairs(json, unknown, "</w>", merges));
    }

    private byte[] Roberta(string[] merges)
    {
        string begin = Name("cls_token", "<s>");
        string end = Name("sep_token", "</s>");
        bool prefixSpace = Flag("add_prefix_space", false);
        return Write(
            [
                ("bos_token", Name("bos_token", "<s>")), ("eos_token", Name("eos_token", "</s>")), ("unk_token", Name("unk_token", "<unk>")), ("sep_token", end),
                ("pad_token", Name("pad_token", "<pad>")), ("cls_token", begin), (MaskKey, Name(MaskKey, "<mask>")),
            ],
            null,
            ByteLevel(prefixSpace),
            new JsonObject { ["type"] = "RobertaProcessing", ["sep"] = Pair(end), ["cls"] = Pair(begin), ["trim_offsets"] = true, ["add_prefix_space"] = prefixSpace },
            ByteLevel(prefixSpace: true),
            json => WriteBytePairs(json, null, "", merges));
    }

    private bool IsClip()
    {
        const string Known = "known ones: CLIPTokenizer, RobertaTokenizer, or a vocab.txt for BertTokenizer; else a tokenizer.json";
        JsonObject model = OptionalObject(CheckpointFolder.ConfigName);
        string? kind = TextOf(_config["tokenizer_class"]) ?? TextOf(model["tokenizer_class"]) ?? TextOf(model["model_type"]);
        return kind switch
        {
            "CLIPTokenizer" or "CLIPTokenizerFast" or "clip" or "clip_text_model" => true,
            "RobertaTokenizer" or "RobertaTokenizerFast" or "roberta" or "roberta-prelayernorm" => false,
            null => throw new UserErrorException($"neither tokenizer_config.json nor {CheckpointFolder.ConfigName} in '{_folder}' says what kind of tokenizer {BytePairName} belongs to", Known),
            _ => throw new UserErrorException($"{BytePairName} in '{_folder}' belongs to a '{kind}', which is not known here", Known),
        };
    }

    private static JsonObject ByteLevel(bool prefixSpace) => new() { ["type"] = "ByteLevel", ["add_prefix_space"] = prefixSpace, ["trim_offsets"] = true, ["use_regex"] = true };

    private static void WriteBytePairs(Utf8JsonWriter json, string? unknown, string suffix, string[] merges)
    {
        json.WriteString("type", "BPE");
        json.WriteString("unk_token", unknown);
        json.WriteString("continuing_subword_prefix", "");
        json.WriteString("end_of_word_suffix", suffix);
        json.WriteStartArray("merges");
        Array.ForEach(merges, json.WriteStringValue);
        json.WriteEndArray();
    }

    private byte[] Write(
        (string Key, string Content)[] special, JsonObject? normalizer, JsonObject preTokenizer, JsonObject postProcessor, JsonObject decoder, Action<Utf8JsonWriter> model)
    {
        using MemoryStream stream = new();
        using (Utf8JsonWriter json = new(stream, s_writing))
        {
            json.WriteStartObject();
            json.WriteString("version", "1.0");
            json.WriteNull("truncation");
            json.WriteNull("padding");
            json.WritePropertyName("added_tokens");
            new JsonArray([.. AddedTokens(special).Values]).WriteTo(json);
            Part("normalizer", normalizer);
            Part("pre_tokenizer", preTokenizer);
            Part("post_processor", postProcessor);
            Part("decoder", decoder);
            json.WriteStartObject("model");
            model(json);
            json.WriteStartObject("vocab");
            foreach ((string piece, int id) in _ids)
            {
                json.WriteNumber(piece, id);
            }

            json.WriteEndObject();
            json.WriteEndObject();
            json.WriteEndObject();

            void Part(string name, JsonObject? part)
            {
                json.WritePropertyName(name);
                if (part is null)
                {
                    json.WriteNullValue();
                }
                else
                {
                    part.WriteTo(json);
                }
            }
        }

        return stream.ToArray();
    }

    // The tokens that are cut out of a text before anything else: the special ones, and those that were added to the vocabulary.
    private SortedDictionary<int, JsonObject> AddedTokens((string Key, string Content)[] special)
    {
        string configPath = Path.Combine(_folder, "tokenizer_config.json");
        SortedDictionary<int, JsonObject> tokens = [];
        foreach ((string key, string content) in special.Where(s => _ids.ContainsKey(s.Content)))
        {
            JsonObject flags = (_special[key] ?? _config[key]) as JsonObject ?? [];
            bool mask = key == MaskKey && content == "<mask>";
            tokens.TryAdd(_ids[content], Token(_ids[content], content, flags, special: true, stripLeft: mask));
        }

        const string decoderKey = "added_tokens_decoder";
        if (_config[decoderKey] is JsonObject decoder)
        {
            foreach ((string id, JsonNode? token) in decoder)
            {
                int place = int.TryParse(id, System.Globalization.NumberStyles.None, System.Globalization.CultureInfo.InvariantCulture, out int number)
                    ? Id(JsonValue.Create(number), configPath, id) : throw Bad(configPath, $"{decoderKey} has '{id}' where an id belongs");
                JsonObject flags = token as JsonObject ?? throw Bad(configPath, $"{decoderKey}[{id}] is no object");
                string content = TextOf(flags["content"]) ?? throw Bad(configPath, $"{decoderKey}[{id}] has no content");
                tokens[place] = Token(place, content, flags, FlagOf(flags, "special", false, configPath), stripLeft: false);
            }

            return tokens;
        }

        string path = Path.Combine(_folder, "added_tokens.json");
        foreach ((string content, JsonNode? id) in OptionalObject("added_tokens.json"))
        {
            int place = Id(id, path, content);
            tokens.TryAdd(place, Token(place, content, [], special: special.Any(s => s.Content == content), stripLeft: false));
        }

        return tokens;

        JsonObject Token(int id, string content, JsonObject flags, bool special, bool stripLeft) => new()
        {
            ["id"] = id,
            ["content"] = content,
            ["single_word"] = FlagOf(flags, "single_word", false, configPath),
            ["lstrip"] = FlagOf(flags, "lstrip", stripLeft, configPath),
            ["rstrip"] = FlagOf(flags, "rstrip", false, configPath),
            ["normalized"] = FlagOf(flags, "normalized", !special, configPath),
            ["special"] = special,
        };
    }

    private JsonArray Pair(string token) => _ids.TryGetValue(token, out int id)
        ? new JsonArray(token, id)
        : throw new UserErrorException($"the vocabulary in '{_folder}' has no '{token}', which stands around every text", Mend);

    // special_tokens_map.json stands above tokenizer_config.json; each has a text, or an object with the text as its content.
    private string Name(string key, string fallback) => NameOf(_special[key]) ?? NameOf(_config[key]) ?? fallback;

    private static string? NameOf(JsonNode? node) => TextOf(node is JsonObject token ? token["content"] : node);

    private static string? TextOf(JsonNode? node) => node is JsonValue value && value.TryGetValue(out string? text) ? text : null;

    private bool Flag(string key, bool fallback) => FlagOf(_config, key, fallback, Path.Combine(_folder, "tokenizer_config.json"));

    private static bool FlagOf(JsonObject json, string key, bool fallback, string path) => json[key] is not JsonNode node ? fallback
        : node is JsonValue value && value.TryGetValue(out bool flag) ? flag
        : throw Bad(path, $"'{key}' is neither true nor false");

    private static int Id(JsonNode? node, string path, string what) => node is JsonValue value && value.TryGetValue(out int id) && id is >= 0 and < 1 << 24
        ? id
        : throw Bad(path, $"'{what}' has no id");

    private JsonObject OptionalObject(string name)
    {
        string path = Path.Combine(_folder, name);
        return File.Exists(path) ? JsonFile.ReadObject(path, Mend) : [];
    }

    private static UserErrorException Bad(string path, string what) => new($"'{path}': {what}", Mend);
}
