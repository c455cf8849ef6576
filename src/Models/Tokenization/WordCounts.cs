using System.Runtime.InteropServices;
using System.Text;
using CrossAlign.Models.Tokenization.PreTokenizers;

namespace CrossAlign.Models.Tokenization;

/// <summary>The words of a text collection, cut as the trained tokenizer will cut them, and how often each occurs.</summary>
internal sealed class WordCounts
{
    /// <summary>The visible space.</summary>
    public const char VisibleSpace = '▁';

    private WordCounts(List<(string Word, long Count)> words) => Words = words;

    /// <summary>The words in ordinal order, each with its count.</summary>
    public List<(string Word, long Count)> Words { get; }

    /// <summary>Counts the words of texts.</summary>
    /// <param name="texts">The texts.</param>
    /// <returns>The counts; the same for any order of the texts.</returns>
    /// <exception cref="UserErrorException">There is no word, or a text is not well-formed UTF-16.</exception>
    public static WordCounts Of(IEnumerable<string> texts)
    {
        Counter counter = new();
        EncodingState state = new() { Limit = int.MaxValue };
        WordChain chain = new([new MetaspacePreTokenizer(VisibleSpace, MetaspaceScheme.Always, split: true)], counter, state);
        foreach (string text in texts)
        {
            ArgumentNullException.ThrowIfNull(text);

            // Made for its check alone: a text that is not well-formed is an error here, not a strange piece later.
            state.ToUtf8(text);
            chain.Accept(text, atStart: true);
        }

        if (counter.Counts.Count == 0)
        {
            throw new UserErrorException("there is no text to train a tokenizer on", "check the languages and the split of the captions");
        }

        List<(string Word, long Count)> words = [.. counter.Counts.Select(p => (p.Key, p.Value))];
        words.Sort((x, y) => string.CompareOrdinal(x.Word, y.Word));
        return new WordCounts(words);
    }

    /// <summary>The most frequent characters, until they make up a share of all.</summary>
    /// <param name="coverage">The share.</param>
    /// <param name="atMost">The most characters.</param>
    /// <returns>The visible space and these characters in the order of code points; of equally frequent ones the smaller come first.</returns>
    public List<string> Alphabet(double coverage, int atMost)
    {
        SortedDictionary<int, long> counts = [];
        long total = 0;
        foreach ((string word, long count) in Words)
        {
            foreach (Rune rune in word.EnumerateRunes())
            {
                if (rune.Value != VisibleSpace)
                {
                    counts[rune.Value] = counts.GetValueOrDefault(rune.Value) + count;
                    total += count;
                }
            }
        }

        List<int> kept = [VisibleSpace];
        long covered = 0;
        foreach ((int rune, long count) in counts.OrderByDescending(p => p.Value).ThenBy(p => p.Key))
        {
            if (kept.Count == atMost || covered >= coverage * total)
            {
                break;
            }

            kept.Add(rune);
            covered += count;
        }

        kept.Sort();
        return [.. kept.Select(char.ConvertFromUtf32)];
    }

    /// <summary>Counts the words that come to it.</summary>
    private sealed class Counter : IWordSink
    {
        public Dictionary<string, long> Counts { get; } = [];

        public void Accept(ReadOnlySpan<char> word, EncodingState state) =>
            CollectionsMarshal.GetValueRefOrAddDefault(Counts.GetAlternateLookup<ReadOnlySpan<char>>(), word, out _)++;
    }
}
