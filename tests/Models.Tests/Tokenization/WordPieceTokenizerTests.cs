using System.Text.Json;
using System.Text.Json.Nodes;
using CrossAlign.Models.Tokenization;

namespace CrossAlign.Models.Tests.Tokenization;

/// <summary>
/// WordPiece, as LaBSE (cased) and other BERT towers (uncased) have it. The golden values of <c>tests/fixtures/wordpiece</c> were made with
/// the published tokenizers library (0.23.2) on a small vocabulary in BERT's layout.
/// </summary>
public class WordPieceTokenizerTests
{
    [Theory]
    [InlineData("ids", "decoded", false)]
    [InlineData("uncased", "uncasedDecoded", true)]
    public void GivesTheIdsAndTextsOfTheTokenizersLibrary(string idsKey, string decodedKey, bool lowercase)
    {
        ITokenizer tokenizer = Load(lowercase);
        List<string> differences = [];
        int cases = 0;
        foreach (JsonElement line in File.ReadLines(Fixture("golden.jsonl")).Select(l => JsonElement.Parse(l)))
        {
            cases++;
            string id = line.GetProperty("id").GetString()!;
            int[] expected = TokenizerFixtures.Ints(line, idsKey);
            int[] ids = tokenizer.Encode(TokenizerFixtures.Texts[id]);
            if (!expected.SequenceEqual(ids))
            {
                differences.Add($"{id}: expected {string.Join(' ', expected)}, got {string.Join(' ', ids)}");
            }
            else if (line.GetProperty(decodedKey).GetString() != tokenizer.Decode(ids))
            {
                differences.Add($"{id}: expected '{line.GetProperty(decodedKey).GetString()}', got '{tokenizer.Decode(ids)}'");
            }
        }

        TokenizerFixtures.AssertNone(differences, cases);
        Assert.Equal(591, cases);
    }

    [Fact]
    public void APairHasTheTypeIdsOfBert()
    {
        ITokenizer tokenizer = Load(lowercase: false);
        Assert.Equal(new SpecialTokens(6, 0, 7, 5, 8), tokenizer.SpecialTokens);
        TokenizedText pair = tokenizer.TokenizePair("the", "the");
        int the = Assert.IsType<int>(tokenizer.FindId("the"));
        Assert.Equal([6, the, 7, the, 7], pair.Ids);
        Assert.Equal([0, 0, 0, 1, 1], pair.TypeIds);
    }

    [Fact]
    public void AWordThatIsTooLongOrCannotBeSpelledIsOneUnknownToken()
    {
        ITokenizer tokenizer = Load(lowercase: false);
        Assert.Equal([6, 5, 7], tokenizer.Encode(new string('a', 101)));
        Assert.NotEqual([6, 5, 7], tokenizer.Encode(new string('a', 100)));
        Assert.Equal([6, 5, 7], tokenizer.Encode("a🙂"));
    }

    // What tokenizers 0.23.2 gives for 'a', the character and 'b', with the pieces a, ##a, b, ##b and [UNK] in this order: marks, punctuation and
    // format characters are those of Unicode 8.
    [Theory]
    [InlineData("strip", 0x0301, "a ##b")]
    [InlineData("strip", 0x1734, "a ##b")]
    [InlineData("strip", 0x0940, "[UNK]")]
    [InlineData("strip", 0x1E944, "[UNK]")]
    [InlineData("strip", 0x08D4, "[UNK]")]
    [InlineData("any", 0x0301, "a ##b")]
    [InlineData("any", 0x0940, "a ##b")]
    [InlineData("any", 0x20DD, "a ##b")]
    [InlineData("any", 0x1E944, "a ##b")]
    [InlineData("any", 0x1CF7, "[UNK]")]
    [InlineData("any", 0x00E1, "[UNK]")]
    [InlineData("clean", 0x200D, "a ##b")]
    [InlineData("clean", 0x08E2, "[UNK]")]
    [InlineData("clean", 0x0085, "a ##b")]
    [InlineData("clean", 0x0378, "[UNK]")]
    [InlineData("cut", 0x002B, "a [UNK] b")]
    [InlineData("cut", 0x166D, "a [UNK] b")]
    [InlineData("cut", 0x2E42, "a [UNK] b")]
    [InlineData("cut", 0x2E43, "[UNK]")]
    [InlineData("cut", 0x00A7, "a [UNK] b")]
    [InlineData("cut", 0x20AC, "[UNK]")]
    public void CharactersAreOfTheKindThatTheLibraryKnowsThemAs(string step, int character, string expected)
    {
        string normalizer = step switch
        {
            "strip" => """{"type": "BertNormalizer", "clean_text": false, "handle_chinese_chars": false, "strip_accents": true, "lowercase": false}""",
            "any" => """{"type": "StripAccents"}""",
            "clean" => """{"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": false, "strip_accents": false, "lowercase": false}""",
            _ => "null",
        };
        string cut = step == "cut" ? "BertPreTokenizer" : "WhitespaceSplit";
        string json = $$$"""
            {"model": {"type": "WordPiece", "unk_token": "[UNK]", "vocab": {"a": 0, "##a": 1, "b": 2, "##b": 3, "[UNK]": 4}},
             "normalizer": {{{normalizer}}}, "pre_tokenizer": {"type": "{{{cut}}}"}}
            """;
        string path = Path.Combine(Directory.CreateTempSubdirectory("crossalign-tokenizer-").FullName, "tokenizer.json");
        File.WriteAllText(path, json);
        Assert.Equal(expected, string.Join(' ', Tokenizer.Load(path).Tokenize($"a{char.ConvertFromUtf32(character)}b").Pieces));
    }

    private static string Fixture(string name) => Path.Combine(AppContext.BaseDirectory, "fixtures", "wordpiece", name);

    private static ITokenizer Load(bool lowercase)
    {
        JsonNode root = JsonNode.Parse(File.ReadAllText(Fixture("tokenizer.json")))!;
        root["normalizer"]!["lowercase"] = lowercase;
        string path = Path.Combine(Directory.CreateTempSubdirectory("crossalign-tokenizer-").FullName, "tokenizer.json");
        File.WriteAllText(path, root.ToJsonString());
        return Tokenizer.Load(path);
    }
}
