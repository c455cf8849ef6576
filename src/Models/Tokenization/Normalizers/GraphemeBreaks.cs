using System.Globalization;

namespace CrossAlign.Models.Tokenization.Normalizers;

/// <summary>
/// Which characters stand alone: between two of them there is always a boundary of extended grapheme clusters, so that the full
/// rules are needed only where another kind of character comes.
/// </summary>
internal static class GraphemeBreaks
{
    private static readonly ulong[] s_alone = Build();

    /// <summary>Whether a character neither joins the one before it nor the one after it, whatever stands there.</summary>
    /// <param name="c">A UTF-16 code unit.</param>
    /// <returns>Whether it stands alone; false for surrogates.</returns>
    public static bool StandsAlone(char c) => (s_alone[c >> 6] >> (c & 63) & 1) != 0;

    private static ulong[] Build()
    {
        ulong[] alone = new ulong[0x10000 / 64];
        Span<char> pair = stackalloc char[2];
        for (int i = 0; i < 0x10000; i++)
        {
            char c = (char)i;
            pair[0] = 'a';
            pair[1] = c;
            bool joins = StringInfo.GetNextTextElementLength(pair) != 1;
            pair[0] = c;
            pair[1] = 'a';
            joins |= StringInfo.GetNextTextElementLength(pair) != 1;

            // Hangul jamo join one another; CR joins LF.
            bool jamo = c is (>= '\u1100' and <= '\u11FF') or (>= '\uA960' and <= '\uA97F') or (>= '\uD7B0' and <= '\uD7FF');
            if (!joins && !jamo && !char.IsSurrogate(c) && c is not '\r' and not '\n')
            {
                alone[i >> 6] |= 1ul << (i & 63);
            }
        }

        return alone;
    }
}
