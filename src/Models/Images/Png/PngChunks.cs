using System.Buffers.Binary;
using System.Globalization;
using System.Text;

namespace CrossAlign.Models.Images.Png;

/// <summary>The chunks that matter, their order and checksums checked.</summary>
internal sealed class PngChunks
{
    private const int MostPaletteBytes = 3 * 256;

    private static readonly uint[] s_crcTable = MakeCrcTable();

    private PngChunks()
    {
    }

    /// <summary>The IHDR chunk.</summary>
    public PngHeader Header { get; private set; }

    /// <summary>The PLTE chunk; empty without.</summary>
    public byte[] Palette { get; private set; } = [];

    /// <summary>The tRNS chunk; empty without.</summary>
    public byte[] Transparency { get; private set; } = [];

    /// <summary>The orientation of the eXIf chunk.</summary>
    public int Orientation { get; private set; } = ExifOrientation.Upright;

    /// <summary>All IDAT chunks, joined.</summary>
    public byte[] Data { get; private set; } = [];

    /// <summary>Reads the chunks.</summary>
    /// <param name="bytes">The file behind its signature.</param>
    /// <param name="settings">The limit of the size.</param>
    /// <returns>The chunks.</returns>
    public static PngChunks Parse(ReadOnlySpan<byte> bytes, ImageDecoder settings)
    {
        PngChunks chunks = new();
        using MemoryStream data = new();
        string previous = string.Empty;
        while (true)
        {
            ReadOnlySpan<byte> found = Next(ref bytes);
            string type = Name(found);
            ReadOnlySpan<byte> content = found[4..];
            bool first = previous.Length == 0;
            if (first != (type == "IHDR"))
            {
                throw Bad(first ? "it does not begin with its header" : "it has two headers");
            }

            switch (type)
            {
                case "IHDR":
                    chunks.Header = PngHeader.Parse(content, settings);
                    break;
                case "IDAT" when data.Length > 0 && previous != "IDAT":
                    throw Bad("its data is not in one piece");
                case "IDAT":
                    data.Write(content);
                    break;
                case "IEND":
                    return data.Length == 0 ? throw Bad("it holds no data") : chunks.Finish(data.ToArray());
                case "PLTE" or "tRNS" when data.Length > 0:
                    throw Bad($"its {type} chunk stands behind the data");
                case "PLTE":
                    chunks.ReadPalette(content);
                    break;
                case "tRNS":
                    chunks.ReadTransparency(content);
                    break;
                case "eXIf":
                    chunks.Orientation = ExifOrientation.Read(content);
                    break;
                default:
                    if (char.IsAsciiLetterUpper(type[0]))
                    {
                        throw Bad($"it has a chunk '{type}', which is not known and must not be passed over");
                    }

                    break;
            }

            previous = type;
        }
    }

    private static ImageFormatException Bad(string what) => new("is a damaged PNG: " + what);

    /// <summary>Takes a chunk off, and gives its type and content, of which the checksum is right.</summary>
    private static ReadOnlySpan<byte> Next(ref ReadOnlySpan<byte> bytes)
    {
        uint length = bytes.Length < 12 ? uint.MaxValue : BinaryPrimitives.ReadUInt32BigEndian(bytes);
        if (length > bytes.Length - 12)
        {
            throw Bad("it ends early");
        }

        ReadOnlySpan<byte> typeAndContent = bytes.Slice(4, 4 + (int)length);
        uint stored = BinaryPrimitives.ReadUInt32BigEndian(bytes[(8 + (int)length)..]);
        if (Crc(typeAndContent) != stored)
        {
            throw Bad($"the checksum of its {Name(typeAndContent)} chunk is wrong");
        }

        bytes = bytes[(12 + (int)length)..];
        return typeAndContent;
    }

    private static string Name(ReadOnlySpan<byte> typeAndContent)
    {
        foreach (byte letter in typeAndContent[..4])
        {
            if (!char.IsAsciiLetter((char)letter))
            {
                throw Bad("a chunk's name is not made of letters");
            }
        }

        return Encoding.ASCII.GetString(typeAndContent[..4]);
    }

    private static uint Crc(ReadOnlySpan<byte> bytes)
    {
        uint crc = uint.MaxValue;
        foreach (byte b in bytes)
        {
            crc = s_crcTable[(byte)(crc ^ b)] ^ (crc >> 8);
        }

        return ~crc;
    }

    private static uint[] MakeCrcTable()
    {
        uint[] table = new uint[256];
        for (uint i = 0; i < table.Length; i++)
        {
            uint c = i;
            for (int bit = 0; bit < 8; bit++)
            {
                c = (c & 1) != 0 ? 0xEDB88320 ^ (c >> 1) : c >> 1;
            }

            table[i] = c;
        }

        return table;
    }

    private void ReadPalette(ReadOnlySpan<byte> content)
    {
        // Only a suggestion for colour types 2 and 6, and without meaning for grey.
        if (Header.ColorType != PngHeader.Palette)
        {
            return;
        }

        int most = Math.Min(MostPaletteBytes, 3 << Header.Depth);
        if (Palette.Length > 0 || content.Length == 0 || content.Length % 3 != 0 || content.Length > most)
        {
            throw Bad(Palette.Length > 0 ? "it has two palettes" : string.Create(CultureInfo.InvariantCulture, $"its palette has {content.Length} bytes"));
        }

        Palette = content.ToArray();
    }

    private void ReadTransparency(ReadOnlySpan<byte> content)
    {
        bool right = Header.ColorType switch
        {
            PngHeader.Grey => content.Length == 2,
            PngHeader.Rgb => content.Length == 6,
            PngHeader.Palette => content.Length <= Palette.Length / 3,
            _ => true,
        };
        if (!right)
        {
            throw Bad(string.Create(CultureInfo.InvariantCulture, $"its tRNS chunk has {content.Length} bytes"));
        }

        // With an alpha channel the chunk means nothing.
        if (Header.ColorType is PngHeader.Grey or PngHeader.Rgb or PngHeader.Palette)
        {
            Transparency = content.ToArray();
        }
    }

    private PngChunks Finish(byte[] data)
    {
        if (Header.ColorType == PngHeader.Palette && Palette.Length == 0)
        {
            throw Bad("its palette is missing");
        }

        Data = data;
        return this;
    }
}
