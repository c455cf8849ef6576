namespace CrossAlign.Models.Images.Jpeg;

/// <summary>A Huffman table, ready for decoding.</summary>
internal sealed class JpegHuffmanTable
{
    /// <summary>Bits that <see cref="Lookup"/> takes at once.</summary>
    public const int LookupBits = 9;

    private const int LongestCode = 16;

    private readonly byte[] _symbols;
    private readonly int[] _firstIndex = new int[LongestCode + 1];
    private readonly int[] _firstCode = new int[LongestCode + 1];
    private readonly int[] _endCode = new int[LongestCode + 1];

    /// <summary>Makes the codes of a table.</summary>
    /// <param name="counts">How many codes there are of each length from 1 to 16.</param>
    /// <param name="symbols">Their symbols, short codes first.</param>
    /// <param name="isDc">Whether the symbols are sizes of DC differences.</param>
    public JpegHuffmanTable(ReadOnlySpan<byte> counts, ReadOnlySpan<byte> symbols, bool isDc)
    {
        _symbols = symbols.ToArray();
        if (isDc && symbols.ContainsAnyExceptInRange((byte)0, (byte)15))
        {
            throw new ImageFormatException("is a damaged JPEG: a Huffman table has symbols that mean nothing");
        }

        int code = 0;
        int index = 0;
        for (int length = 1; length <= LongestCode; length++)
        {
            (_firstIndex[length], _firstCode[length]) = (index, code);
            for (int i = 0; i < counts[length - 1]; i++, code++, index++)
            {
                // No code consists of ones alone.
                if (code + 1 >= 1 << length)
                {
                    throw new ImageFormatException("is a damaged JPEG: a Huffman table has more codes than there are");
                }

                if (length <= LookupBits)
                {
                    int shift = LookupBits - length;
                    Lookup.AsSpan(code << shift, 1 << shift).Fill((ushort)((length << 8) | _symbols[index]));
                }
            }

            _endCode[length] = code;
            code <<= 1;
        }
    }

    /// <summary>By the next bits: the length of the code, 0 where it is longer, and in the low byte its symbol.</summary>
    public ushort[] Lookup { get; } = new ushort[1 << LookupBits];

    /// <summary>Finds a code that is longer than <see cref="LookupBits"/>.</summary>
    /// <param name="bits">The next 16 bits.</param>
    /// <returns>Its symbol and its length.</returns>
    public (int Symbol, int Length) FindLong(int bits)
    {
        for (int length = LookupBits + 1; length <= LongestCode; length++)
        {
            int code = bits >> (LongestCode - length);
            if (code < _endCode[length] && code >= _firstCode[length])
            {
                return (_symbols[_firstIndex[length] + code - _firstCode[length]], length);
            }
        }

        throw new ImageFormatException("is a damaged JPEG: its data has a code that means nothing");
    }
}
