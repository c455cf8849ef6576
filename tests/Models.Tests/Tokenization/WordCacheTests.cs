using CrossAlign.Models.Tokenization;

namespace CrossAlign.Models.Tests.Tokenization;

/// <summary>Remembered words give what cutting anew would give, and cost no memory.</summary>
public class WordCacheTests
{
    /// <summary>
    /// With pieces asked for, nothing is remembered and a SentencePiece text is cut as a whole; without, word by word from memory. In
    /// long texts the rounding of sums decides between near-equal paths, which the memory must notice.
    /// </summary>
    [Theory]
    [InlineData("unigram-nfkc/sentencepiece.bpe.model")]
    [InlineData("unigram-bytes/sentencepiece.bpe.model")]
    [InlineData("unigram-nfkc/tokenizer.json")]
    [InlineData("bpe-bytes/tokenizer.json")]
    public void LongTextsHaveTheSameIdsFromMemory(string file)
    {
        ITokenizer tokenizer = Tokenizer.Load(TokenizerFixtures.Path(file));
        string[] texts = [.. TokenizerFixtures.Texts.Where(t => !t.Key.StartsWith("char/", StringComparison.Ordinal)).Select(t => t.Value)];
        Random random = new(3);
        foreach (int count in (int[])[2, 10, 100, 400])
        {
            for (int repeat = 0; repeat < 4; repeat++)
            {
                string joined = string.Join(repeat % 2 == 0 ? " " : "\n ", Enumerable.Range(0, count).Select(_ => texts[random.Next(texts.Length)]));
                Assert.Equal(tokenizer.Tokenize(joined).Ids, tokenizer.Encode(joined));
            }
        }
    }

    [Fact]
    public void AddsAndFindsMoreWordsThanItHolds()
    {
        WordCache cache = new();
        for (int i = 0; i < 200_000; i++)
        {
            string word = "word" + i;
            uint hash = WordCache.Hash(word);
            Assert.False(cache.TryGet(word, hash, out _, out _));
            cache.Add(word, hash, [i, i + 1], i);
            Assert.True(cache.TryGet(word, hash, out ReadOnlySpan<int> ids, out float margin));
            Assert.True(ids.SequenceEqual([i, i + 1]));
            Assert.Equal(i, margin);
        }
    }

    [Theory]
    [InlineData("unigram-nfkc/sentencepiece.bpe.model")]
    [InlineData("unigram-nfkc/tokenizer.json")]
    [InlineData("bpe-bytes/tokenizer.json")]
    public void EncodingAllocatesNothing(string file)
    {
        ITokenizer tokenizer = Tokenizer.Load(TokenizerFixtures.Path(file));
        string[] texts = [.. TokenizerFixtures.Texts.Where(t => t.Key.StartsWith("udhr/", StringComparison.Ordinal)).Select(t => t.Value)];
        List<int> ids = new(100_000);
        long allocated = 0;
        for (int pass = 0; pass < 3; pass++)
        {
            ids.Clear();
            long before = GC.GetAllocatedBytesForCurrentThread();
            foreach (string text in texts)
            {
                tokenizer.Encode(text, ids);
            }

            allocated = GC.GetAllocatedBytesForCurrentThread() - before;
        }

        Assert.Equal(0, allocated);
    }
}
