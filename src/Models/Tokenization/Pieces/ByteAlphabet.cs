namespace CrossAlign.Models.Tokenization.Pieces;

/// <summary>
/// The 256 visible characters that byte-level vocabularies (GPT-2, CLIP) write bytes as: printable Latin-1 characters stand for
/// themselves, the others are U+0100 onwards in order.
/// </summary>
internal static class ByteAlphabet
{
    private const int Limit = 0x144;
    private static readonly char[] s_characters = Build();
    private static readonly short[] s_bytes = Invert();

    /// <summary>The character of a byte.</summary>
    /// <param name="value">The byte.</param>
    /// <returns>The character.</returns>
    public static char Of(byte value) => s_characters[value];

    /// <summary>The byte of a character.</summary>
    /// <param name="c">The character.</param>
    /// <param name="value">The byte.</param>
    /// <returns>Whether the character stands for a byte.</returns>
    public static bool TryGetByte(char c, out byte value)
    {
        int found = c < Limit ? s_bytes[c] : -1;
        value = (byte)found;
        return found >= 0;
    }

    private static char[] Build()
    {
        char[] characters = new char[256];
        int next = 0x100;
        for (int b = 0; b < 256; b++)
        {
            bool printable = b is (>= 0x21 and <= 0x7E) or (>= 0xA1 and <= 0xAC) or >= 0xAE;
            characters[b] = printable ? (char)b : (char)next++;
        }

        return characters;
    }

    private static short[] Invert()
    {
        short[] bytes = new short[Limit];
        Array.Fill(bytes, (short)-1);
        for (int b = 0; b < 256; b++)
        {
            bytes[s_characters[b]] = (short)b;
        }

        return bytes;
    }
}
