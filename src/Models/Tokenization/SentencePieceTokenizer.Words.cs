using System.Runtime.InteropServices;
using CrossAlign.Models.Tokenization.Pieces;

namespace CrossAlign.Models.Tokenization;

// The library cuts a text as a whole and adds the scores in single precision. No piece reaches over the beginning of a word, so
// words can be cut one by one if each begins with the sum of all before it. A word's pieces are remembered with the margin by
// which they won: as long as that is larger than any rounding error at the present sum, they would win again, and the word is
// not cut anew. Otherwise it is.
public sealed partial class SentencePieceTokenizer
{
    private void EncodeWords(ReadOnlySpan<char> text, EncodingState state, SentencePieceScratch scratch)
    {
        float sum = 0;
        ReadOnlySpan<float> scores = _vocabulary.Scores;
        while (!text.IsEmpty && !state.IsFull)
        {
            int length = text.IndexOf(' ');
            ReadOnlySpan<char> word = length < 0 ? text : text[..length];
            text = length < 0 ? default : text[(length + 1)..];
            if (word.IsEmpty)
            {
                continue;
            }

            bool cached = word.Length <= WordCache.LongestWord;
            uint hash = cached ? WordCache.Hash(word) : 0;
            bool found = false;
            float margin = 0;
            if (cached && state.Cache.TryGet(word, hash, out ReadOnlySpan<int> ids, out margin))
            {
                found = true;
                float after = sum;
                foreach (int id in ids)
                {
                    after += scores[id];
                }

                if (margin > RoundingPerAddition(after))
                {
                    state.Ids.AddRange(ids);
                    sum = after;
                    scratch.AfterUnknown &= ids.IsEmpty;
                    continue;
                }
            }

            ReadOnlySpan<byte> normalized = scratch.Normalizer.Normalize(state.ToUtf8(word));
            if (normalized.IsEmpty)
            {
                continue;
            }

            UnigramLattice<float> lattice = scratch.Lattice;
            lattice.Run(_vocabulary, normalized, sum);
            int start = state.Ids.Count;
            bool hasUnknown = Emit(lattice.Path, normalized, state, scratch);
            sum = lattice.Total;
            if (cached && !found && !hasUnknown)
            {
                margin = (lattice.Margin / CountCharacters(normalized)) - RoundingPerAddition(sum);
                state.Cache.Add(word, hash, CollectionsMarshal.AsSpan(state.Ids)[start..], margin);
            }
        }
    }

    /// <summary>
    /// More than what rounding can change in the difference of two paths through a word, for each addition on the way. No score is
    /// positive, so that no sum of the best path is larger than its last one, and each addition is off by at most half a unit in the
    /// last place, 2^-24 of the sum; that makes 2^-23 for two paths, and 2^-22 to be on the safe side. (The sums of a losing path are
    /// larger by what it loses by, which is the margin itself.)
    /// </summary>
    private static float RoundingPerAddition(float sum) => -sum * (1f / (1 << 22));

    /// <summary>The most additions on a path through a text: each piece has at least one character.</summary>
    private static int CountCharacters(ReadOnlySpan<byte> utf8)
    {
        int count = 0;
        foreach (byte b in utf8)
        {
            count += (b & 0xC0) != 0x80 ? 1 : 0;
        }

        return count;
    }
}
