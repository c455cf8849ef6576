using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;
using CrossAlign.Models.Tokenization.Decoders;
using CrossAlign.Models.Tokenization.Normalizers;
using CrossAlign.Models.Tokenization.Pieces;
using CrossAlign.Models.Tokenization.PreTokenizers;

namespace CrossAlign.Models.Tokenization;

/// <summary>
/// Reads a <c>tokenizer.json</c>. Whatever the file holds, the outcome is a tokenizer or an error that names the file, the place and
/// what is wrong there; a part that is not supported is named.
/// </summary>
internal sealed class TokenizerJsonReader : JsonFileReader
{
    private static readonly JsonDocumentOptions s_options = new() { AllowDuplicateProperties = false };

    private TokenizerJsonReader(string name)
        : base(name)
    {
    }

    /// <summary>Reads a tokenizer.</summary>
    /// <param name="file">The file's bytes, kept by the tokenizer.</param>
    /// <param name="name">The file's name, for messages.</param>
    /// <returns>The tokenizer.</returns>
    /// <exception cref="UserErrorException">The file is damaged, or describes something that is not supported.</exception>
    public static PipelineTokenizer Read(byte[] file, string name)
    {
        TokenizerJsonReader reader = new(name);
        try
        {
            using JsonDocument document = JsonDocument.Parse(file, s_options);
            return new PipelineTokenizer(file, reader.Parts(document.RootElement));
        }
        catch (JsonException e)
        {
            throw new UserErrorException($"'{name}' is not JSON: {e.Message}", Damaged, e);
        }
        catch (InvalidOperationException e)
        {
            // A key that is not valid Unicode (half of a surrogate pair written as \uD800).
            throw new UserErrorException($"'{name}' has a key that is not valid Unicode", Damaged, e);
        }
    }

    private PipelineParts Parts(JsonElement root)
    {
        if (root.ValueKind != JsonValueKind.Object)
        {
            throw Bad("the outermost value is not an object");
        }

        PieceModel model = new PieceModelReader(Name).Read(Child(root, "model", "model"));
        List<AddedToken> added = ReadAddedTokens(root);
        HashSet<int> known = [.. added.Select(t => t.Id)];
        (TokenTemplate single, TokenTemplate pair) = ReadTemplates(Optional(root, "post_processor"));
        foreach (TokenTemplate.Part part in single.Parts.Concat(pair.Parts))
        {
            if (part.Id >= 0 && model.Piece(part.Id) is null && !known.Contains(part.Id))
            {
                throw Bad(FormattableString.Invariant($"post_processor adds the id {part.Id}, which is not in the vocabulary"));
            }
        }

        return new PipelineParts
        {
            Model = model,
            AddedTokens = added,
            Normalizers = ReadNormalizers(Optional(root, "normalizer"), "normalizer"),
            PreTokenizers = ReadPreTokenizers(Optional(root, "pre_tokenizer"), "pre_tokenizer"),
            Decoders = ReadDecoders(Optional(root, "decoder")),
            Single = single,
            Pair = pair,
        };
    }

    private List<AddedToken> ReadAddedTokens(JsonElement root)
    {
        List<AddedToken> tokens = [];
        if (Optional(root, "added_tokens") is not JsonElement list)
        {
            return tokens;
        }

        foreach (JsonElement item in Items(list, "added_tokens"))
        {
            const string place = "added_tokens[]";
            tokens.Add(new AddedToken
            {
                Id = Id(Child(item, "id", place), $"{place}.id"),
                Content = Text(Child(item, "content", place), $"{place}.content"),
                SingleWord = Flag(item, "single_word", false),
                StripLeft = Flag(item, "lstrip", false),
                StripRight = Flag(item, "rstrip", false),
                Normalized = Flag(item, "normalized", false),
                Special = Flag(item, "special", false),
            });
        }

        return tokens;
    }

    private List<TextNormalizer> ReadBertNormalizer(JsonElement normalizer)
    {
        bool lowercase = Flag(normalizer, "lowercase", true);
        List<TextNormalizer> steps = [new BertNormalizer(Flag(normalizer, "clean_text", true), Flag(normalizer, "handle_chinese_chars", true))];
        if (Flag(normalizer, "strip_accents", lowercase))
        {
            steps.AddRange([new UnicodeFormNormalizer(NormalizationForm.FormD), new StripAccentsNormalizer(anyMark: false)]);
        }

        if (lowercase)
        {
            steps.Add(new LowercaseNormalizer());
        }

        return steps;
    }

    private PrecompiledNormalizer[] ReadPrecompiled(JsonElement normalizer, string place)
    {
        JsonElement blob = Child(normalizer, "precompiled_charsmap", place);
        if (blob.ValueKind == JsonValueKind.Null)
        {
            return [];
        }

        Require(blob, JsonValueKind.String, place + ".precompiled_charsmap");
        return blob.TryGetBytesFromBase64(out byte[]? bytes)
            ? CharacterMap.Read(bytes, Name) is CharacterMap map ? [new PrecompiledNormalizer(map)] : []
            : throw Bad($"{place}.precompiled_charsmap is not base64");
    }

    private List<TextNormalizer> ReadNormalizers(JsonElement? element, string place)
    {
        if (element is not JsonElement normalizer)
        {
            return [];
        }

        string type = Type(normalizer, place);
        return type switch
        {
            "Sequence" => [.. Items(Child(normalizer, "normalizers", place), place).SelectMany(n => ReadNormalizers(n, place + ".normalizers[]"))],
            "Precompiled" => [.. ReadPrecompiled(normalizer, place)],
            "Strip" => [new StripNormalizer(Flag(normalizer, "strip_left", true), Flag(normalizer, "strip_right", true))],
            "Replace" => [new ReplaceNormalizer(Pattern(Child(normalizer, "pattern", place), place), Text(Child(normalizer, "content", place), place))],
            "Prepend" => [new PrependNormalizer(Text(Child(normalizer, "prepend", place), place))],
            "BertNormalizer" => ReadBertNormalizer(normalizer),
            "StripAccents" => [new StripAccentsNormalizer(anyMark: true)],
            "Lowercase" => [new LowercaseNormalizer()],
            "NFC" => [new UnicodeFormNormalizer(NormalizationForm.FormC)],
            "NFD" => [new UnicodeFormNormalizer(NormalizationForm.FormD)],
            "NFKC" => [new UnicodeFormNormalizer(NormalizationForm.FormKC)],
            "NFKD" => [new UnicodeFormNormalizer(NormalizationForm.FormKD)],
            _ => throw Unsupported(place, type),
        };
    }

    private List<PreTokenizer> ReadPreTokenizers(JsonElement? element, string place)
    {
        if (element is not JsonElement step)
        {
            return [];
        }

        string type = Type(step, place);
        return type switch
        {
            "Sequence" => [.. Items(Child(step, "pretokenizers", place), place).SelectMany(p => ReadPreTokenizers(p, place + ".pretokenizers[]"))],
            "Split" => [ReadSplit(step, place)],
            "ByteLevel" => ReadByteLevel(step),
            "BertPreTokenizer" => [new BertPreTokenizer()],
            "WhitespaceSplit" => [new WhiteSpacePreTokenizer()],
            "Metaspace" => [new MetaspacePreTokenizer(Replacement(step, place), Scheme(step, place), Flag(step, "split", true))],
            _ => throw Unsupported(place, type),
        };
    }

    private PatternPreTokenizer ReadSplit(JsonElement step, string place)
    {
        string behavior = Text(Child(step, "behavior", place), place + ".behavior");
        if (behavior is not "Removed" and not "Isolated")
        {
            throw Unsupported(place + ".behavior", behavior);
        }

        // "Removed" drops the matches, or with "invert" what lies between them.
        bool invert = Flag(step, "invert", false);
        bool all = behavior == "Isolated";
        return new PatternPreTokenizer(Pattern(Child(step, "pattern", place), place), all || invert, all || !invert);
    }

    private List<PreTokenizer> ReadByteLevel(JsonElement step)
    {
        List<PreTokenizer> steps = [];
        if (Flag(step, "add_prefix_space", true))
        {
            steps.Add(new PrefixSpacePreTokenizer());
        }

        if (Flag(step, "use_regex", true))
        {
            steps.Add(PatternPreTokenizer.Gpt2);
        }

        steps.Add(new ByteLevelPreTokenizer());
        return steps;
    }

    private List<TokenDecoder>? ReadDecoders(JsonElement? element)
    {
        const string place = "decoder";
        if (element is not JsonElement decoder)
        {
            return null;
        }

        string type = Type(decoder, place);
        return type switch
        {
            "Sequence" => [.. Items(Child(decoder, "decoders", place), place).SelectMany(d => ReadDecoders(d) ?? [])],
            "Metaspace" => [new MetaspaceDecoder(Replacement(decoder, place), Scheme(decoder, place) != MetaspaceScheme.Never)],
            "Replace" => [new ReplaceDecoder(Pattern(Child(decoder, "pattern", place), place), Text(Child(decoder, "content", place), place))],
            "ByteFallback" => [new ByteFallbackDecoder()],
            "WordPiece" => [new WordPieceDecoder(Text(Child(decoder, "prefix", place), place), Flag(decoder, "cleanup", true))],
            "ByteLevel" => [new ByteLevelDecoder()],
            "Fuse" => [new FuseDecoder()],
            "Strip" => [new StripDecoder(Character(Child(decoder, "content", place), place), Id(Child(decoder, "start", place), place), Id(Child(decoder, "stop", place), place))],
            _ => throw Unsupported(place, type),
        };
    }

    private (TokenTemplate Single, TokenTemplate Pair) ReadTemplates(JsonElement? element)
    {
        const string place = "post_processor";
        if (element is not JsonElement processor)
        {
            return (TokenTemplate.Plain, TokenTemplate.PlainPair);
        }

        string type = Type(processor, place);
        switch (type)
        {
            case "TemplateProcessing":
                JsonElement tokens = Child(processor, "special_tokens", place);
                return (ReadTemplate(Child(processor, "single", place), tokens, 1), ReadTemplate(Child(processor, "pair", place), tokens, 2));
            case "ByteLevel":
                return (TokenTemplate.Plain, TokenTemplate.PlainPair);
            case "RobertaProcessing":
            case "BertProcessing":
                int begin = PairId(Child(processor, "cls", place), place);
                int end = PairId(Child(processor, "sep", place), place);
                int second = type == "BertProcessing" ? 1 : 0;
                List<TokenTemplate.Part> single = [new(begin, 0, 0), new(-1, 0, 0), new(end, 0, 0)];
                return (new TokenTemplate(single), new TokenTemplate(second == 1
                    ? [.. single, new(-1, 1, 1), new(end, 0, 1)]
                    : [.. single, new(end, 0, 0), new(-1, 1, 0), new(end, 0, 0)]));
            default:
                throw Unsupported(place, type);
        }
    }

    private TokenTemplate ReadTemplate(JsonElement template, JsonElement tokens, int sequences)
    {
        const string place = "post_processor";
        List<TokenTemplate.Part> parts = [];
        foreach (JsonElement item in Items(template, place))
        {
            if (Optional(item, "SpecialToken") is JsonElement special)
            {
                string name = Text(Child(special, "id", place), place);
                int typeId = Id(Child(special, "type_id", place), place);
                JsonElement ids = Child(Child(tokens, name, place + ".special_tokens"), "ids", place);
                parts.AddRange(Items(ids, place).Select(id => new TokenTemplate.Part(Id(id, place), 0, typeId)));
            }
            else
            {
                JsonElement sequence = Child(item, "Sequence", place);
                string name = Text(Child(sequence, "id", place), place);
                parts.Add(new TokenTemplate.Part(-1, name == "A" ? 0 : 1, Id(Child(sequence, "type_id", place), place)));
            }
        }

        int texts = parts.Count(p => p.Id < 0);
        return texts == sequences ? new TokenTemplate(parts) : throw Bad(FormattableString.Invariant($"{place} has {texts} places for {sequences} texts"));
    }

    private int PairId(JsonElement pair, string place)
    {
        Require(pair, JsonValueKind.Array, place);
        return pair.GetArrayLength() == 2 ? Id(pair[1], place) : throw Bad($"{place} is not a token and its id");
    }

    private Regex Pattern(JsonElement pattern, string place)
    {
        bool literal = Optional(pattern, "String") is not null;
        string text = Text(Child(pattern, literal ? "String" : "Regex", place + ".pattern"), place + ".pattern");
        try
        {
            // Linear in the text whatever the pattern, so that a file cannot make it run for ever.
            return new Regex(literal ? Regex.Escape(text) : text, RegexOptions.CultureInvariant | RegexOptions.NonBacktracking);
        }
        catch (Exception e) when (e is ArgumentException or NotSupportedException)
        {
            throw new UserErrorException($"'{Name}': {place} has a pattern that is not supported: {text}", Supported, e);
        }
    }

    private char Replacement(JsonElement element, string place) => Character(Child(element, "replacement", place), place + ".replacement");

    private MetaspaceScheme Scheme(JsonElement element, string place)
    {
        if (Optional(element, "prepend_scheme") is not JsonElement scheme)
        {
            return Flag(element, "add_prefix_space", true) ? MetaspaceScheme.Always : MetaspaceScheme.Never;
        }

        return Text(scheme, place) switch
        {
            "always" => MetaspaceScheme.Always,
            "first" => MetaspaceScheme.First,
            "never" => MetaspaceScheme.Never,
            string other => throw Unsupported(place + ".prepend_scheme", other),
        };
    }

    private string Type(JsonElement element, string place) => Text(Child(element, "type", place), place + ".type");
}
