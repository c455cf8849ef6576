using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using CrossAlign.Models.Tokenization;

namespace CrossAlign.Models.Tests.Tokenization;

/// <summary>
/// Tokenizers of the older form: the vocabularies of <c>tests/fixtures/wordpiece</c> and <c>clip-bpe</c> written as the published folders have
/// them, against the golden values that the tokenizers library gave for the <c>tokenizer.json</c> that the published framework converts them to.
/// </summary>
public sealed class VocabularyFilesTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData("ids", "{\"do_lower_case\": false}", false)]
    [InlineData("ids", "{\"do_lower_case\": false, \"cls_token\": {\"content\": \"[CLS]\"}, \"tokenizer_class\": \"BertTokenizer\"}", true)]
    [InlineData("uncased", "{\"do_lower_case\": true, \"strip_accents\": null, \"tokenize_chinese_chars\": true}", false)]
    [InlineData("ids", null, false)]
    public void APlainListOfPiecesGivesTheGoldenIds(string idsKey, string? config, bool carriageReturns)
    {
        WriteWordPieces(carriageReturns ? "\r\n" : "\n");
        if (config is not null)
        {
            File.WriteAllText(_folder.File("tokenizer_config.json"), config);
        }

        ITokenizer tokenizer = Tokenizer.Load(_folder.Path);
        Assert.Equal(("wordpiece", new SpecialTokens(6, 0, 7, 5, 8)), (tokenizer.Kind, tokenizer.SpecialTokens));
        AssertGolden(tokenizer, "wordpiece", idsKey);
        Assert.Equal([0, 0, 0, 1, 1], tokenizer.TokenizePair("the", "the").TypeIds);

        // By the file's own name too, and as the tokenizer.json that it saves.
        string saved = _folder.File("saved.json");
        Tokenizer.Load(_folder.File("vocab.txt")).Save(saved);
        Assert.Equal(tokenizer.Encode("Everyone has [MASK] 人権"), Tokenizer.Load(saved).Encode("Everyone has [MASK] 人権"));
        Assert.Equal("tokenizer.json", tokenizer.FileName);
    }

    [Fact]
    public void OfAPieceThatStandsTwiceTheLaterLineCounts()
    {
        File.WriteAllText(_folder.File("vocab.txt"), "[UNK]\nred\n[CLS]\n[SEP]\nred\n\n##s");
        ITokenizer tokenizer = Tokenizer.Load(_folder.Path);

        // No piece has a capital: texts are lower-cased.
        Assert.Equal([2, 4, 6, 0, 3], tokenizer.Encode("Reds blue"));
        Assert.Equal(7, tokenizer.VocabularySize);
    }

    [Fact]
    public void AddedTokensAreCutOut()
    {
        File.WriteAllText(_folder.File("vocab.txt"), "[UNK]\n[CLS]\n[SEP]\nred\ncircle\n");
        File.WriteAllText(_folder.File("added_tokens.json"), "{\"<extra>\": 5}");
        Assert.Equal([1, 3, 5, 4, 2], Tokenizer.Load(_folder.Path).Encode("red<extra>circle"));

        // tokenizer_config.json says the same in its newer form, and then alone.
        File.WriteAllText(_folder.File("tokenizer_config.json"), """{"added_tokens_decoder": {"5": {"content": "<more>", "special": true}, "1": {"content": "[CLS]", "special": true, "normalized": false}}}""");
        Assert.Equal([1, 3, 5, 4, 2], Tokenizer.Load(_folder.Path).Encode("red<more>circle"));

        // special_tokens_map.json stands above tokenizer_config.json.
        File.WriteAllText(_folder.File("special_tokens_map.json"), """{"sep_token": "circle"}""");
        Assert.Equal([1, 3, 4], Tokenizer.Load(_folder.Path).Encode("red"));
    }

    [Theory]
    [InlineData("ids", "{\"model_type\": \"clip\"}", null)]
    [InlineData("ids", null, "{\"tokenizer_class\": \"CLIPTokenizer\", \"bos_token\": {\"content\": \"<|startoftext|>\", \"normalized\": true}}")]
    [InlineData("plain", "{\"model_type\": \"clip\"}", "{\"tokenizer_class\": \"RobertaTokenizer\", \"add_prefix_space\": true, \"cls_token\": \"<|startoftext|>\", \"sep_token\": \"<|endoftext|>\"}")]
    public void BytePairsGiveTheGoldenIds(string idsKey, string? model, string? config)
    {
        WriteBytePairs();
        foreach ((string name, string? json) in new[] { ("config.json", model), ("tokenizer_config.json", config) })
        {
            if (json is not null)
            {
                File.WriteAllText(_folder.File(name), json);
            }
        }

        ITokenizer tokenizer = Tokenizer.Load(_folder.Path);
        Assert.Equal((912, 913), (tokenizer.SpecialTokens.Begin, tokenizer.SpecialTokens.End));
        AssertGolden(tokenizer, "clip-bpe", idsKey);
    }

    [Theory]
    [InlineData("vocab.txt", "[UNK]\n[CLS]\n", "has no '[SEP]'")]
    [InlineData("vocab.txt", "", "has no '[SEP]'")]
    [InlineData("vocab.txt", "[CLS]\n[SEP]\n", "model.unk_token is '[UNK]'")]
    [InlineData("vocab.txt", "[UNK]\n[CLS]\n[SEP]\n|{\"do_lower_case\": 1}", "'do_lower_case' is neither true nor false")]
    [InlineData("vocab.txt", "[UNK]\n[CLS]\n[SEP]\n|{\"added_tokens_decoder\": {\"-1\": {\"content\": \"x\"}}}", "where an id belongs")]
    [InlineData("vocab.txt", "[UNK]\n[CLS]\n[SEP]\n|{\"added_tokens_decoder\": {\"9\": 3}}", "is no object")]
    [InlineData("vocab.txt", "[UNK]\n[CLS]\n[SEP]\n|[]", "holds no JSON object")]
    [InlineData("vocab.json", "{\"a\": 0}", "what kind of tokenizer")]
    [InlineData("vocab.json", "{\"a\": 0}|{\"tokenizer_class\": \"GPT2Tokenizer\"}", "'GPT2Tokenizer'")]
    [InlineData("vocab.json", "{\"a\": \"0\"}", "'a' has no id")]
    [InlineData("vocab.json", "{\"a\": 0", "is not JSON")]
    [InlineData("vocab.json", "{\"a\": 0}|{\"tokenizer_class\": \"CLIPTokenizer\"}", "has no '<|endoftext|>'")]
    public void WhatIsWrongIsSaid(string name, string content, string expected)
    {
        string[] parts = content.Split('|', 2);
        bool config = parts.Length == 2 && parts[1].StartsWith('{') || parts.Length == 2 && parts[1] == "[]";
        File.WriteAllText(_folder.File(name), config ? parts[0] : content);
        File.WriteAllText(_folder.File("merges.txt"), "#version: 0.2\n");
        if (config)
        {
            File.WriteAllText(_folder.File("tokenizer_config.json"), parts[1]);
        }

        Assert.Contains(expected, Assert.Throws<UserErrorException>(() => Tokenizer.Load(_folder.Path)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void MissingAndBrokenFilesAreNamed()
    {
        File.WriteAllText(_folder.File("vocab.json"), "{\"a\": 0}");
        Assert.Contains("merges.txt", Refused(), StringComparison.Ordinal);
        File.WriteAllText(_folder.File("merges.txt"), "#version: 0.2\na b c\n");
        File.WriteAllText(_folder.File("tokenizer_config.json"), """{"tokenizer_class": "RobertaTokenizer", "cls_token": "a", "sep_token": "a"}""");
        Assert.Contains("model.merges[0] is not a pair", Refused(), StringComparison.Ordinal);
        File.WriteAllBytes(_folder.File("vocab.txt"), [.. "[UNK]\n"u8, 0xFF]);
        Assert.Contains("is not UTF-8 (byte 0xFF at offset 6)", Refused(), StringComparison.Ordinal);

        string Refused() => Assert.Throws<UserErrorException>(() => Tokenizer.Load(_folder.Path)).Message;
    }

    private static void AssertGolden(ITokenizer tokenizer, string fixture, string idsKey)
    {
        List<string> differences = [];
        int cases = 0;
        foreach (JsonElement line in File.ReadLines(Fixtures.PathOf(fixture, "golden.jsonl")).Select(l => JsonElement.Parse(l)))
        {
            cases++;
            string id = line.GetProperty("id").GetString()!;
            int[] expected = TokenizerFixtures.Ints(line, idsKey);
            int[] ids = tokenizer.Encode(TokenizerFixtures.Texts[id]);
            if (!expected.SequenceEqual(ids))
            {
                differences.Add($"{id}: expected {string.Join(' ', expected)}, got {string.Join(' ', ids)}");
            }
        }

        TokenizerFixtures.AssertNone(differences, cases);
        Assert.Equal(591, cases);
    }

    private void WriteWordPieces(string lineEnd)
    {
        JsonObject vocabulary = Model("wordpiece")["vocab"]!.AsObject();
        StringBuilder text = new();
        foreach (string piece in vocabulary.OrderBy(p => p.Value!.GetValue<int>()).Select(p => p.Key))
        {
            text.Append(piece).Append(lineEnd);
        }

        File.WriteAllText(_folder.File("vocab.txt"), text.ToString());
    }

    private void WriteBytePairs()
    {
        JsonObject model = Model("clip-bpe");
        File.WriteAllText(_folder.File("vocab.json"), model["vocab"]!.ToJsonString());
        IEnumerable<string> merges = model["merges"]!.AsArray().Select(m => m is JsonArray pair ? $"{pair[0]} {pair[1]}" : m!.GetValue<string>());
        File.WriteAllText(_folder.File("merges.txt"), "#version: 0.2\n" + string.Join('\n', merges) + "\n");
    }

    private static JsonObject Model(string fixture) => JsonNode.Parse(File.ReadAllText(Fixtures.PathOf(fixture, "tokenizer.json")))!["model"]!.AsObject();
}
