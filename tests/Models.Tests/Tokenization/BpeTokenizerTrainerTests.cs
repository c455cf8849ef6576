using System.Text.Json;
using CrossAlign.Models.Tokenization;
using FsCheck;
using FsCheck.Fluent;

namespace CrossAlign.Models.Tests.Tokenization;

/// <summary>Training a byte-pair encoding: worked examples, determinism, the saved file, speed.</summary>
public class BpeTokenizerTrainerTests
{
    private static readonly string[] s_paragraphs = [.. TokenizerFixtures.Texts.Where(t => t.Key.StartsWith("udhr/", StringComparison.Ordinal)).Select(t => t.Value)];

    [Fact]
    public void JoinsTheMostFrequentPairFirst()
    {
        // "▁aab" three times, "▁ab" twice: (a, b) 5 and (▁, a) 5 are tied, a has the smaller id; then (a, ab) 3 and (▁, a) 3 likewise.
        PipelineTokenizer tokenizer = new BpeTokenizerTrainer(300) { CharacterCoverage = 1 }.Train(["aab aab aab", "ab ab"]);
        Assert.Equal("a", tokenizer.Piece(260));
        Assert.Equal("b", tokenizer.Piece(261));
        Assert.Equal("▁", tokenizer.Piece(262));
        Assert.Equal("ab", tokenizer.Piece(263));
        Assert.Equal("aab", tokenizer.Piece(264));
        Assert.Equal("▁aab", tokenizer.Piece(265));
        Assert.Equal("▁ab", tokenizer.Piece(266));
        Assert.Equal("<mask>", tokenizer.Piece(267));
        Assert.Equal(268, tokenizer.VocabularySize);
    }

    [Theory]
    [InlineData("a a", 0)]
    [InlineData("aaaa aaaa", 1)]
    [InlineData("abab abab ab", 2)]
    public void AgreesWithCountingAfreshBeforeEveryJoin(string text, int minimum)
    {
        AssertEqualsRecounting([text], 300, minimum);
    }

    [Fact]
    public void AgreesWithCountingAfreshOnRandomTexts()
    {
        Gen<string[]> texts = Gen.Elements('a', 'b', 'c', ' ', 'é', '日').ArrayOf(24).Select(c => new string(c)).ArrayOf(6);
        Prop.ForAll(Arb.From(texts), t => AssertEqualsRecounting(t, 290, 2)).QuickCheckThrowOnFailure();
    }

    [Fact]
    public void TheOrderOfTheTextsDoesNotMatter()
    {
        byte[] once = Trained(s_paragraphs);
        Assert.Equal(once, Trained(s_paragraphs));
        Assert.Equal(once, Trained(s_paragraphs.Reverse()));
    }

    [Fact]
    public void ATrainedTokenizerIsReadBackAndGivesTextsBack()
    {
        PipelineTokenizer trained = new BpeTokenizerTrainer(4000).Train(s_paragraphs);
        string path = Path.Combine(Directory.CreateTempSubdirectory("crossalign-tokenizer-").FullName, "tokenizer.json");
        trained.Save(path);
        ITokenizer loaded = Tokenizer.Load(path);
        Assert.Equal(4000, loaded.VocabularySize);
        Assert.Equal(new SpecialTokens(0, 1, 2, 3, 3999), loaded.SpecialTokens);
        foreach (string paragraph in s_paragraphs)
        {
            int[] ids = loaded.Encode(paragraph);
            Assert.Equal(trained.Encode(paragraph), ids);
            Assert.DoesNotContain(3, ids);
            Assert.Equal(paragraph.TrimStart(' ').Replace('▁', ' '), loaded.Decode(ids));
        }
    }

    [Fact]
    public void TheFileHasThePublishedLayout()
    {
        JsonElement expected = JsonElement.Parse(File.ReadAllText(TokenizerFixtures.Path("bpe-bytes/tokenizer.json")));
        string path = Path.Combine(Directory.CreateTempSubdirectory("crossalign-tokenizer-").FullName, "tokenizer.json");
        new BpeTokenizerTrainer(4000).Train(s_paragraphs).Save(path);
        JsonElement actual = JsonElement.Parse(File.ReadAllText(path));
        foreach (string part in (string[])["version", "truncation", "padding", "added_tokens", "normalizer", "pre_tokenizer", "post_processor", "decoder"])
        {
            Assert.True(JsonElement.DeepEquals(expected.GetProperty(part), actual.GetProperty(part)), part);
        }

        JsonElement expectedModel = expected.GetProperty("model");
        JsonElement actualModel = actual.GetProperty("model");
        Assert.Equal(expectedModel.EnumerateObject().Select(p => p.Name), actualModel.EnumerateObject().Select(p => p.Name));
        foreach (JsonProperty setting in expectedModel.EnumerateObject().Where(p => p.Name is not "vocab" and not "merges"))
        {
            Assert.True(JsonElement.DeepEquals(setting.Value, actualModel.GetProperty(setting.Name)), setting.Name);
        }
    }

    [Fact]
    public void TheRarestCharactersAreLeftToTheBytes()
    {
        string[] texts = [.. Enumerable.Repeat("abc abc", 1000), "é"];
        PipelineTokenizer tokenizer = new BpeTokenizerTrainer(300) { CharacterCoverage = 0.999 }.Train(texts);
        Assert.Null(tokenizer.FindId("é"));
        Assert.Equal(["▁", "<0xC3>", "<0xA9>"], tokenizer.Tokenize("é").Pieces);
        Assert.Equal("é", tokenizer.Decode(tokenizer.Encode("é")));
    }

    [Fact]
    public void NoPieceIsSpelledLikeASpecialToken()
    {
        string[] texts = [.. Enumerable.Repeat("<s> <0x41> </s> <mask>x", 100)];
        PipelineTokenizer tokenizer = new BpeTokenizerTrainer(400).Train(texts);
        for (int id = 260; id < tokenizer.VocabularySize - 1; id++)
        {
            Assert.DoesNotContain(tokenizer.Piece(id), (string[])["<s>", "<pad>", "</s>", "<unk>", "<mask>", "<0x41>"]);
        }
    }

    [Fact]
    public void TooFewPiecesOrNoTextsIsAnError()
    {
        Assert.Contains("no room", Assert.Throws<UserErrorException>(() => new BpeTokenizerTrainer(200)).Message, StringComparison.Ordinal);
        Assert.Contains("no text", Assert.Throws<UserErrorException>(() => new BpeTokenizerTrainer(300).Train([])).Message, StringComparison.Ordinal);
        Assert.Contains("no text", Assert.Throws<UserErrorException>(() => new BpeTokenizerTrainer(300).Train([""])).Message, StringComparison.Ordinal);
        Assert.Contains("surrogate", Assert.Throws<UserErrorException>(() => new BpeTokenizerTrainer(300).Train([((char)0xD800).ToString()])).Message, StringComparison.Ordinal);
    }

    private static byte[] Trained(IEnumerable<string> texts)
    {
        string path = Path.Combine(Directory.CreateTempSubdirectory("crossalign-tokenizer-").FullName, "tokenizer.json");
        new BpeTokenizerTrainer(2000).Train(texts).Save(path);
        return File.ReadAllBytes(path);
    }

    /// <summary>The same algorithm without any bookkeeping: all pairs are counted again before every join.</summary>
    private static bool AssertEqualsRecounting(string[] texts, int size, int minimum)
    {
        if (texts.All(t => t.Length == 0))
        {
            return true;
        }

        PipelineTokenizer tokenizer = new BpeTokenizerTrainer(size) { CharacterCoverage = 1, MinimumPairCount = minimum }.Train(texts);
        List<List<string>> words = [];
        foreach (string text in texts.Where(t => t.Length > 0))
        {
            string visible = text.Replace(' ', '▁');
            visible = visible[0] == '▁' ? visible : '▁' + visible;
            foreach (char c in visible)
            {
                if (c == '▁')
                {
                    words.Add([]);
                }

                words[^1].Add(c.ToString());
            }
        }

        List<string> pieces = [.. words.SelectMany(w => w).Append("▁").Distinct().Order(StringComparer.Ordinal)];
        HashSet<(int, int)> joinedBefore = [];
        while (260 + pieces.Count + 1 < size)
        {
            var best = words.SelectMany(w => w.Zip(w.Skip(1), (x, y) => (Left: pieces.IndexOf(x), Right: pieces.IndexOf(y))))
                .Where(p => !joinedBefore.Contains(p) && (pieces[p.Left] + pieces[p.Right]).Length <= 16)
                .GroupBy(p => p).Select(g => (g.Key, Count: g.Count())).Where(p => p.Count >= Math.Max(1, minimum))
                .OrderByDescending(p => p.Count).ThenBy(p => p.Key.Left).ThenBy(p => p.Key.Right).ToList();
            if (best.Count == 0)
            {
                break;
            }

            (int left, int right) = best[0].Key;
            joinedBefore.Add(best[0].Key);
            string joined = pieces[left] + pieces[right];
            foreach (List<string> word in words)
            {
                for (int i = 0; i + 1 < word.Count; i++)
                {
                    if (word[i] == pieces[left] && word[i + 1] == pieces[right])
                    {
                        word[i] = joined;
                        word.RemoveAt(i + 1);
                    }
                }
            }

            if (!pieces.Contains(joined))
            {
                pieces.Add(joined);
            }
        }

        Assert.Equal([.. pieces, "<mask>"], Enumerable.Range(260, tokenizer.VocabularySize - 260).Select(tokenizer.Piece));
        return true;
    }
}
