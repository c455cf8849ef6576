using System.Text.Json;
using System.Text.Json.Nodes;
using CrossAlign.Models.Tokenization;

namespace CrossAlign.Models.Tests.Tokenization;

/// <summary>
/// Byte-level BPE, as CLIP's text tower has it and as GPT-2 does. The golden values of <c>tests/fixtures/clip-bpe</c> were made with the
/// published tokenizers library (0.23.2) on a vocabulary of 914 pieces in CLIP's layout; <c>plain</c> is the same vocabulary with the
/// pipeline of GPT-2.
/// </summary>
public class ByteLevelTokenizerTests
{
    [Theory]
    [InlineData("ids", "decoded")]
    [InlineData("plain", "plainDecoded")]
    public void GivesTheIdsAndTextsOfTheTokenizersLibrary(string idsKey, string decodedKey)
    {
        ITokenizer tokenizer = Tokenizer.Load(idsKey == "ids" ? Fixture("tokenizer.json") : PlainFile());
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
    public void TheTokensAroundATextAreThoseOfClip()
    {
        ITokenizer tokenizer = Tokenizer.Load(Fixture("tokenizer.json"));
        Assert.Equal(912, tokenizer.SpecialTokens.Begin);
        Assert.Equal(913, tokenizer.SpecialTokens.End);
        Assert.Equal(913, tokenizer.SpecialTokens.Unknown);
        Assert.Equal(914, tokenizer.VocabularySize);
        List<int> ids = [];
        Assert.True(tokenizer.Encode("a photo of a dog and of much else besides, far too long", ids, 8));
        Assert.Equal(8, ids.Count);
        Assert.Equal(913, ids[^1]);
    }

    private static string Fixture(string name) => Path.Combine(AppContext.BaseDirectory, "fixtures", "clip-bpe", name);

    private static string PlainFile()
    {
        JsonNode root = JsonNode.Parse(File.ReadAllText(Fixture("tokenizer.json")))!;
        root["normalizer"] = null;
        root["pre_tokenizer"] = JsonNode.Parse("""{"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true}""");
        root["model"]!["end_of_word_suffix"] = "";
        string path = Path.Combine(Directory.CreateTempSubdirectory("crossalign-tokenizer-").FullName, "tokenizer.json");
        File.WriteAllText(path, root.ToJsonString());
        return path;
    }
}
