using CrossAlign.Models.Tokenization.Pieces;
using FsCheck;
using FsCheck.Fluent;

namespace CrossAlign.Models.Tests.Tokenization;

/// <summary>The double array against a dictionary.</summary>
public class PieceTrieTests
{
    [Fact]
    public void FindsExactlyTheKeysThatWerePutIn()
    {
        Gen<byte[]> key = Gen.OneOf(
            Gen.Choose(0, 3).Select(b => (byte)b).NonEmptyListOf().Select(b => b.ToArray()),
            Gen.Choose(0, 255).Select(b => (byte)b).NonEmptyListOf().Select(b => b.ToArray()));
        Prop.ForAll(Arb.From(key.ArrayOf()), Arb.From(key.ArrayOf()), (keys, others) =>
        {
            PieceTrie trie = new(keys, [.. Enumerable.Range(0, keys.Length)]);
            Dictionary<string, int> expected = [];
            for (int i = 0; i < keys.Length; i++)
            {
                expected[Convert.ToHexString(keys[i])] = i;
            }

            return keys.Concat(others).All(k => trie.Find(k) == expected.GetValueOrDefault(Convert.ToHexString(k), -1)
                && trie.LongestPrefix(k, out _) == Enumerable.Range(1, k.Length).LastOrDefault(n => expected.ContainsKey(Convert.ToHexString(k[..n])), 0));
        }).QuickCheckThrowOnFailure();
    }

    [Fact]
    public void HoldsEveryByteAfterEveryByte()
    {
        List<byte[]> keys = [];
        for (int first = 0; first < 256; first++)
        {
            for (int second = 0; second < 256; second += 3)
            {
                keys.Add([(byte)first, (byte)second]);
            }
        }

        PieceTrie trie = new(keys, [.. Enumerable.Range(0, keys.Count)]);
        for (int first = 0; first < 256; first++)
        {
            Assert.Equal(-1, trie.Find([(byte)first]));
            for (int second = 0; second < 256; second++)
            {
                Assert.Equal(second % 3 == 0 ? (first * 86) + (second / 3) : -1, trie.Find([(byte)first, (byte)second]));
            }
        }
    }

    [Fact]
    public void AnEmptyTrieFindsNothing()
    {
        PieceTrie trie = new([], []);
        Assert.Equal(-1, trie.Find("a"u8));
        Assert.Equal(0, trie.LongestPrefix("a"u8, out _));
    }
}
