using System.Text;
using System.Text.Json;
using CrossAlign.Models.Tokenization;
using FsCheck;
using FsCheck.Fluent;

namespace CrossAlign.Models.Tests.Tokenization;

/// <summary>BPE from a <c>tokenizer.json</c>, against the published tokenizers library.</summary>
public class BpeTokenizerTests
{
    private static readonly ITokenizer s_tokenizer = Tokenizer.Load(TokenizerFixtures.Path("bpe-bytes/tokenizer.json"));

    [Fact]
    public void EveryGoldenTextHasTheSameIdsAndPieces()
    {
        List<string> differences = [];
        int cases = 0;
        foreach (JsonElement line in TokenizerFixtures.Lines("bpe-bytes/golden.jsonl"))
        {
            cases++;
            string id = line.GetProperty("id").GetString()!;
            string text = TokenizerFixtures.Texts[id];
            int[] expected = TokenizerFixtures.Ints(line, "ids");
            TokenizedText tokenized = s_tokenizer.Tokenize(text);
            int[] cached = s_tokenizer.Encode(text);
            if (!expected.SequenceEqual(tokenized.Ids) || !expected.SequenceEqual(cached))
            {
                differences.Add($"{id}: expected {string.Join(' ', expected)}, got {string.Join(' ', cached)}");
            }
            else if (line.TryGetProperty("pieces", out _) && !TokenizerFixtures.Strings(line, "pieces").SequenceEqual(tokenized.Pieces))
            {
                differences.Add($"{id}: pieces {string.Join(' ', tokenized.Pieces)}");
            }
        }

        TokenizerFixtures.AssertNone(differences, cases);
        Assert.Equal(1465, cases);
    }

    [Fact]
    public void SpecialIdsAreThePublishedOnes()
    {
        Assert.Equal(new SpecialTokens(0, 1, 2, 3, 3999), s_tokenizer.SpecialTokens);
        Assert.Equal(4000, s_tokenizer.VocabularySize);
        Assert.Equal(2, s_tokenizer.AddedTokenCount);
        Assert.Equal("bpe", s_tokenizer.Kind);
    }

    /// <summary>
    /// Whatever the characters, a text comes back from its ids. Not covered, because the published format cannot tell them apart:
    /// a visible space from a space, a leading space from the one that encoding puts there, and special tokens written out.
    /// </summary>
    [Fact]
    public void DecodingGivesTheTextBack()
    {
        Gen<string> character = Gen.OneOf(
            Gen.Choose(0, 0x7F).Select(c => ((char)c).ToString()),
            Gen.Choose(0x80, 0x10FFFF).Where(c => c is not (>= 0xD800 and < 0xE000) and not '▁').Select(char.ConvertFromUtf32),
            Gen.Elements(" ", "  ", "a", "é", "日本", "नमस्ते", "\u0301", "ꬰ", "<0x41>", "<", ">"));
        Gen<string> text = character.ArrayOf().Select(string.Concat).Where(t => !t.StartsWith(' ')
            && !s_tokenizer.Tokenize(t).Pieces.Any(p => p is "<s>" or "<pad>" or "</s>" or "<unk>" or "<mask>"));
        Prop.ForAll(Arb.From(text), t => s_tokenizer.Decode(s_tokenizer.Encode(t)) == t).QuickCheckThrowOnFailure();
    }

    [Fact]
    public void ArbitraryBytesGiveIdsOrAnErrorThatSaysNotUtf8()
    {
        Prop.ForAll(ArbMap.Default.ArbFor<byte[]>(), bytes =>
        {
            List<int> ids = [];
            try
            {
                s_tokenizer.EncodeUtf8(bytes, ids);
                return ids.Count >= 2 && new UTF8Encoding(false, true).GetString(bytes) is not null;
            }
            catch (UserErrorException e)
            {
                return e.Message.Contains("not UTF-8", StringComparison.Ordinal) && !System.Text.Unicode.Utf8.IsValid(bytes);
            }
        }).QuickCheckThrowOnFailure();
    }

    [Fact]
    public void InvalidUtf8IsAnErrorThatSaysWhere()
    {
        int cases = 0;
        foreach (JsonElement line in TokenizerFixtures.Lines("invalid.jsonl"))
        {
            cases++;
            byte[] bytes = line.GetProperty("base64").GetBytesFromBase64();
            UserErrorException error = Assert.Throws<UserErrorException>(() => s_tokenizer.EncodeUtf8(bytes, []));
            Assert.Contains("is not UTF-8 (byte 0x", error.Message, StringComparison.Ordinal);
        }

        Assert.Equal(30, cases);
    }

    [Theory]
    [InlineData("", 0xD800, "")]
    [InlineData("abc ", 0xDC00, " def")]
    [InlineData("a word of more characters than the cache of words takes: ____________________________________", 0xD83D, "")]
    public void HalfASurrogatePairIsAnError(string before, int half, string after)
    {
        string text = before + (char)half + after;
        Assert.Contains("half of a surrogate pair", Assert.Throws<UserErrorException>(() => s_tokenizer.Encode(text)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void TruncationKeepsTheTokensAroundAndSaysSo()
    {
        const string text = "Everyone has the right to education.";
        int[] whole = s_tokenizer.Encode(text);
        for (int limit = 2; limit <= whole.Length + 2; limit++)
        {
            List<int> ids = [];
            bool truncated = s_tokenizer.Encode(text, ids, limit);
            Assert.Equal(limit < whole.Length, truncated);
            Assert.Equal([.. whole.Take(Math.Min(limit, whole.Length) - 1), 2], ids);
            Assert.Equal(truncated, s_tokenizer.Tokenize(text, limit).Truncated);
        }

        Assert.Throws<ArgumentOutOfRangeException>(() => s_tokenizer.Encode(text, [], 1));
    }

    [Fact]
    public void SavingWritesTheFileByteForByte()
    {
        string path = Path.Combine(Directory.CreateTempSubdirectory("crossalign-tokenizer-").FullName, "tokenizer.json");
        s_tokenizer.Save(path);
        Assert.Equal(File.ReadAllBytes(TokenizerFixtures.Path("bpe-bytes/tokenizer.json")), File.ReadAllBytes(path));
    }

    [Fact]
    public void SeveralThreadsGetTheSameIds()
    {
        string[] texts = [.. TokenizerFixtures.Texts.Where(t => t.Key.StartsWith("udhr/", StringComparison.Ordinal)).Select(t => t.Value)];
        int[][] expected = [.. texts.Select(t => s_tokenizer.Encode(t))];
        Parallel.For(0, 4, _ =>
        {
            for (int i = 0; i < texts.Length; i++)
            {
                Assert.Equal(expected[i], s_tokenizer.Encode(texts[i]));
            }
        });
    }
}
