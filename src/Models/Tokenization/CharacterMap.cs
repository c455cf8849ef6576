using System.Buffers.Binary;
using System.Text;
using System.Text.Unicode;

namespace CrossAlign.Models.Tokenization;

/// <summary>
/// The precompiled character map of a SentencePiece model: which character sequences a normaliser replaces by what. The file holds a
/// double array (darts-clone) over the UTF-8 bytes of the sequences, and the zero-terminated replacements.
/// </summary>
/// <remarks>Every access is checked: a damaged map matches nothing, or gives an error, and never reads elsewhere.</remarks>
internal sealed class CharacterMap
{
    private const uint LeafFlag = 1u << 31;
    private readonly uint[] _units;
    private readonly byte[] _values;
    private readonly ulong[] _starts = new ulong[0x10000 / 64];
    private readonly bool[] _plainAscii = new bool[0x80];

    private CharacterMap(uint[] units, byte[] values)
    {
        _units = units;
        _values = values;
        Span<byte> utf8 = stackalloc byte[3];
        for (int c = 0; c < 0x10000; c++)
        {
            if (!Rune.TryCreate((char)c, out Rune rune))
            {
                continue;
            }

            if (Leads(utf8[..rune.EncodeToUtf8(utf8)]))
            {
                _starts[c >> 6] |= 1ul << (c & 63);
            }
        }

        for (int c = 0; c < 0x80; c++)
        {
            _plainAscii[c] = IsPlainAscii((byte)c, utf8);
        }

        // Cells of the space character below the root cannot be told from cells that are never reached, so this errs on the safe side.
        SpaceIsOrdinary = !MayStart(' ') && !_units.Any(u => (u & (LeafFlag | 0xFF)) == ' ' && u != ' ')
            && values.AsSpan().IndexOf("▁"u8) < 0;
    }

    /// <summary>Whether no sequence holds a space and no replacement a visible space, so that words can be replaced one by one.</summary>
    public bool SpaceIsOrdinary { get; }

    /// <summary>Reads a map.</summary>
    /// <param name="blob">The byte length of the array (u32), the array, the replacements.</param>
    /// <param name="name">The file's name, for messages.</param>
    /// <returns>The map, or null for an empty blob.</returns>
    /// <exception cref="UserErrorException">The lengths do not fit.</exception>
    public static CharacterMap? Read(ReadOnlySpan<byte> blob, string name)
    {
        if (blob.IsEmpty)
        {
            return null;
        }

        uint length = blob.Length < 4 ? uint.MaxValue : BinaryPrimitives.ReadUInt32LittleEndian(blob);
        if (length == 0 || length % 4 != 0 || length > blob.Length - 4 || !Utf8.IsValid(blob[(4 + (int)length)..]))
        {
            throw new UserErrorException($"'{name}': the precompiled character map is damaged", "download the file again");
        }

        uint[] units = new uint[length / 4];
        for (int i = 0; i < units.Length; i++)
        {
            units[i] = BinaryPrimitives.ReadUInt32LittleEndian(blob[(4 + (i * 4))..]);
        }

        return new CharacterMap(units, blob[(4 + (int)length)..].ToArray());
    }

    /// <summary>Whether a sequence begins with a character of the basic plane; false for half of a surrogate pair.</summary>
    /// <param name="c">The character.</param>
    /// <returns>Whether one does.</returns>
    public bool MayStart(char c) => (_starts[c >> 6] >> (c & 63) & 1) != 0;

    /// <summary>Whether an ASCII character that is followed by another one stays as it is.</summary>
    /// <param name="c">The character, below 0x80.</param>
    /// <returns>Whether it does.</returns>
    public bool IsPlainAscii(int c) => _plainAscii[c];

    /// <summary>The longest sequence at the beginning of a text.</summary>
    /// <param name="utf8">The text.</param>
    /// <param name="value">Its replacement.</param>
    /// <returns>Its length in bytes; 0 where there is none.</returns>
    public int Longest(ReadOnlySpan<byte> utf8, out ReadOnlySpan<byte> value) => Match(utf8, longest: true, out value);

    /// <summary>The shortest sequence at the beginning of a text.</summary>
    /// <param name="utf8">The text.</param>
    /// <param name="value">Its replacement.</param>
    /// <returns>Its length in bytes; 0 where there is none.</returns>
    public int Shortest(ReadOnlySpan<byte> utf8, out ReadOnlySpan<byte> value) => Match(utf8, longest: false, out value);

    private static uint Offset(uint unit) => unit >> 10 << (int)((unit & (1u << 9)) >> 6);

    private int Match(ReadOnlySpan<byte> utf8, bool longest, out ReadOnlySpan<byte> value)
    {
        int length = 0;
        uint leaf = 0;
        uint position = Offset(_units[0]);
        for (int i = 0; i < utf8.Length; i++)
        {
            position ^= utf8[i];
            if (position >= (uint)_units.Length || (_units[position] & (LeafFlag | 0xFF)) != utf8[i])
            {
                break;
            }

            uint unit = _units[position];
            position ^= Offset(unit);
            if ((unit & (1u << 8)) != 0 && position < (uint)_units.Length)
            {
                length = i + 1;
                leaf = _units[position] & ~LeafFlag;
                if (!longest)
                {
                    break;
                }
            }
        }

        value = length == 0 ? default : Value(leaf);
        return length;
    }

    private ReadOnlySpan<byte> Value(uint start)
    {
        int end = start < (uint)_values.Length ? _values.AsSpan((int)start).IndexOf((byte)0) : -1;
        return end >= 0
            ? _values.AsSpan((int)start, end)
            : throw new UserErrorException("the tokenizer's precompiled character map is damaged: it points outside its replacements", "download the file again");
    }

    private bool Leads(ReadOnlySpan<byte> utf8)
    {
        uint position = Offset(_units[0]);
        foreach (byte b in utf8)
        {
            position ^= b;
            if (position >= (uint)_units.Length || (_units[position] & (LeafFlag | 0xFF)) != b)
            {
                return false;
            }

            position ^= Offset(_units[position]);
        }

        return true;
    }

    private bool IsPlainAscii(byte c, Span<byte> utf8)
    {
        utf8[0] = c;
        if (Match(utf8[..1], longest: true, out _) != 0)
        {
            return false;
        }

        for (int next = 0; next < 0x80; next++)
        {
            utf8[1] = (byte)next;
            if (Leads(utf8[..2]))
            {
                return false;
            }
        }

        return true;
    }
}
