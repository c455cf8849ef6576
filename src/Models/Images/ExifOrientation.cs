using System.Buffers.Binary;

namespace CrossAlign.Models.Images;

/// <summary>The orientation that EXIF names (tag 0x0112, 1 to 8), and its application.</summary>
internal static class ExifOrientation
{
    /// <summary>The value that needs nothing done.</summary>
    public const int Upright = 1;

    private const int EntryBytes = 12;
    private const ushort Tag = 0x0112;
    private const ushort ShortType = 3;

    /// <summary>Reads the orientation from the TIFF structure of EXIF.</summary>
    /// <param name="tiff">The structure, from its byte order mark on.</param>
    /// <returns>1 to 8; 1 where there is none, or none that means anything.</returns>
    public static int Read(ReadOnlySpan<byte> tiff)
    {
        bool little = tiff is [(byte)'I', (byte)'I', 42, 0, ..];
        if ((!little && tiff is not [(byte)'M', (byte)'M', 0, 42, ..]) || tiff.Length < 8)
        {
            return Upright;
        }

        uint offset = little ? BinaryPrimitives.ReadUInt32LittleEndian(tiff[4..]) : BinaryPrimitives.ReadUInt32BigEndian(tiff[4..]);
        if (offset > (uint)tiff.Length - 2)
        {
            return Upright;
        }

        ReadOnlySpan<byte> folder = tiff[(int)offset..];
        int count = Word(folder, little);
        folder = folder[2..];
        for (; count > 0 && folder.Length >= EntryBytes; count--, folder = folder[EntryBytes..])
        {
            if (Word(folder, little) == Tag)
            {
                int value = Word(folder[2..], little) == ShortType ? Word(folder[8..], little) : Upright;
                return value is >= 1 and <= 8 ? value : Upright;
            }
        }

        return Upright;
    }

    /// <summary>Turns a picture upright.</summary>
    /// <param name="image">The picture as it is stored.</param>
    /// <param name="orientation">1 to 8.</param>
    /// <returns>The picture as it is meant.</returns>
    public static RgbImage Apply(RgbImage image, int orientation)
    {
        if (orientation == Upright)
        {
            return image;
        }

        (int w, int h) = (image.Width, image.Height);
        (int width, int height) = orientation >= 5 ? (h, w) : (w, h);
        byte[] pixels = new byte[image.Pixels.Length];
        int to = 0;
        for (int y = 0; y < height; y++)
        {
            for (int x = 0; x < width; x++, to += 3)
            {
                (int fromX, int fromY) = orientation switch
                {
                    2 => (w - 1 - x, y),
                    3 => (w - 1 - x, h - 1 - y),
                    4 => (x, h - 1 - y),
                    5 => (y, x),
                    6 => (y, h - 1 - x),
                    7 => (w - 1 - y, h - 1 - x),
                    _ => (w - 1 - y, x),
                };
                image.Pixels.AsSpan(3 * ((fromY * w) + fromX), 3).CopyTo(pixels.AsSpan(to));
            }
        }

        return new(width, height, pixels);
    }

    private static ushort Word(ReadOnlySpan<byte> bytes, bool little) =>
        little ? BinaryPrimitives.ReadUInt16LittleEndian(bytes) : BinaryPrimitives.ReadUInt16BigEndian(bytes);
}
