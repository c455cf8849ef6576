using System.Text.Json;
using System.Text.Json.Nodes;
using CrossAlign.Models.Tokenization;

namespace CrossAlign.Models.Tests.Tokenization;

/// <summary>Unigram models, from both of their files, each against its own published library.</summary>
public class UnigramTokenizerTests
{
    [Theory]
    [InlineData("unigram-nfkc")]
    [InlineData("unigram-bytes")]
    public void TokenizerJsonGivesTheIdsOfTheTokenizersLibrary(string folder)
    {
        ITokenizer tokenizer = Tokenizer.Load(TokenizerFixtures.Path(folder + "/tokenizer.json"));
        List<string> differences = [];
        int cases = 0;
        foreach (JsonElement line in TokenizerFixtures.Lines(folder + "/golden.jsonl"))
        {
            cases++;
            string[]? pieces = line.TryGetProperty("pieces", out _) ? TokenizerFixtures.Strings(line, "pieces") : null;
            Compare(tokenizer, line, TokenizerFixtures.Ints(line, "ids"), pieces, differences);
        }

        TokenizerFixtures.AssertNone(differences, cases);
        Assert.Equal(1465, cases);
    }

    [Theory]
    [InlineData("unigram-nfkc")]
    [InlineData("unigram-bytes")]
    public void TheModelFileGivesTheIdsOfTheSentencePieceLibrary(string folder)
    {
        ITokenizer tokenizer = Tokenizer.Load(TokenizerFixtures.Path(folder + "/sentencepiece.bpe.model"));
        List<string> differences = [];
        int cases = 0;
        foreach (JsonElement line in TokenizerFixtures.Lines(folder + "/golden.jsonl"))
        {
            cases++;
            int[] fileIds = TokenizerFixtures.Ints(line, "sp_ids");
            string text = TokenizerFixtures.Texts[line.GetProperty("id").GetString()!];
            string key = line.TryGetProperty("sp_pieces", out _) ? "sp_pieces" : "pieces";
            string[]? pieces = line.TryGetProperty(key, out _) ? TokenizerFixtures.Strings(line, key) : null;
            int[] expected = [0, .. fileIds.Select(SentencePieceTokenizer.FromFileId), 2];
            Compare(tokenizer, line, expected, pieces, differences);
            Assert.Equal(fileIds, tokenizer.Tokenize(text).FileIds);
            if (line.TryGetProperty("sp_hf_ids", out _))
            {
                Assert.Equal(TokenizerFixtures.Ints(line, "sp_hf_ids"), line.GetProperty("sp_hf_ids").GetArrayLength() == expected.Length ? expected : expected[1..^1]);
            }
        }

        TokenizerFixtures.AssertNone(differences, cases);
        Assert.Equal(1465, cases);
    }

    [Theory]
    [InlineData("converter")]
    [InlineData("replace-spaces")]
    public void OtherPublishedPipelinesGiveTheirIds(string variant)
    {
        JsonNode file = JsonNode.Parse(File.ReadAllText(TokenizerFixtures.Path("unigram-nfkc/tokenizer.json")))!;
        JsonNode other = JsonNode.Parse(File.ReadAllText(TokenizerFixtures.Path($"unigram-nfkc/variant-{variant}.json")))!;
        string map = file["normalizer"]!["precompiled_charsmap"]!.GetValue<string>();
        other["normalizer"]!["normalizers"]![0]!["precompiled_charsmap"] = map;
        file["normalizer"] = other["normalizer"]!.DeepClone();
        file["pre_tokenizer"] = other["pre_tokenizer"]!.DeepClone();
        string path = Path.Combine(Directory.CreateTempSubdirectory("crossalign-tokenizer-").FullName, "tokenizer.json");
        File.WriteAllText(path, file.ToJsonString());
        ITokenizer tokenizer = Tokenizer.Load(path);
        Dictionary<string, JsonElement> changed = TokenizerFixtures.Lines($"unigram-nfkc/variant-{variant}.golden.jsonl").ToDictionary(l => l.GetProperty("id").GetString()!);
        Assert.NotEmpty(changed);
        List<string> differences = [];
        int cases = 0;
        foreach (JsonElement line in TokenizerFixtures.Lines("unigram-nfkc/golden.jsonl"))
        {
            cases++;
            JsonElement expected = changed.GetValueOrDefault(line.GetProperty("id").GetString()!, line);
            string[]? pieces = expected.TryGetProperty("pieces", out _) ? TokenizerFixtures.Strings(expected, "pieces") : null;
            Compare(tokenizer, expected, TokenizerFixtures.Ints(expected, "ids"), pieces, differences);
        }

        TokenizerFixtures.AssertNone(differences, cases);
    }

    [Fact]
    public void PairsTruncationAndDecodingAreThePublishedOnes()
    {
        ITokenizer json = Tokenizer.Load(TokenizerFixtures.Path("unigram-nfkc/tokenizer.json"));
        ITokenizer model = Tokenizer.Load(TokenizerFixtures.Path("unigram-nfkc/sentencepiece.bpe.model"));
        Dictionary<string, int> groups = [];
        foreach (JsonElement line in TokenizerFixtures.Lines("unigram-nfkc/more.jsonl"))
        {
            string id = line.GetProperty("id").GetString()!;
            string group = id.Split('/')[0];
            groups[group] = groups.GetValueOrDefault(group) + 1;
            int[] ids = TokenizerFixtures.Ints(line, "ids");
            switch (group)
            {
                case "pair":
                    TokenizedText pair = json.TokenizePair(line.GetProperty("text").GetString(), line.GetProperty("pair").GetString());
                    Assert.Equal(ids, pair.Ids);
                    Assert.Equal(TokenizerFixtures.Ints(line, "type_ids"), pair.TypeIds);
                    break;
                case "truncate":
                    int limit = line.GetProperty("max_length").GetInt32();
                    string text = line.GetProperty("text").GetString()!;
                    List<int> cut = [];
                    Assert.Equal(json.Encode(text).Length > limit, json.Encode(text, cut, limit));
                    Assert.Equal(ids, cut);
                    break;
                default:
                    Assert.Equal((id, line.GetProperty("decoded").GetString()), (id, json.Decode(ids)));
                    int[] fileIds = [.. TokenizerFixtures.Ints(line, "sp_ids").Select(SentencePieceTokenizer.FromFileId)];
                    Assert.Equal((id, line.GetProperty("sp_decoded").GetString()), (id, model.Decode(fileIds)));
                    break;
            }
        }

        Assert.Equal(new Dictionary<string, int> { ["pair"] = 12, ["truncate"] = 12, ["decode"] = 40 }, groups);
    }

    [Fact]
    public void SpecialIdsAreThoseOfXlmRoberta()
    {
        foreach (string file in (string[])["tokenizer.json", "sentencepiece.bpe.model"])
        {
            ITokenizer tokenizer = Tokenizer.Load(TokenizerFixtures.Path("unigram-nfkc/" + file));
            Assert.Equal(new SpecialTokens(0, 1, 2, 3, 8001), tokenizer.SpecialTokens);
            Assert.Equal(8002, tokenizer.VocabularySize);
            Assert.Equal("<mask>", tokenizer.Piece(8001));
            Assert.Equal(4, tokenizer.FindId("▁"));
        }
    }

    private static void Compare(ITokenizer tokenizer, JsonElement line, int[] expected, string[]? pieces, List<string> differences)
    {
        string id = line.GetProperty("id").GetString()!;
        string text = TokenizerFixtures.Texts[id];
        TokenizedText slow = tokenizer.Tokenize(text);
        int[] first = tokenizer.Encode(text);
        int[] second = tokenizer.Encode(text);
        if (!expected.SequenceEqual(slow.Ids) || !expected.SequenceEqual(first) || !expected.SequenceEqual(second))
        {
            differences.Add($"{id}: expected {string.Join(' ', expected)}, got {string.Join(' ', slow.Ids)} and {string.Join(' ', first)} and {string.Join(' ', second)}");
        }
        else if (pieces is not null && !pieces.SequenceEqual(slow.Pieces))
        {
            differences.Add($"{id}: expected {string.Join('|', pieces)}, got {string.Join('|', slow.Pieces)}");
        }
    }
}
