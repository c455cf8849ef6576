using System.Buffers.Binary;
using System.Globalization;

namespace CrossAlign.Models.Images.Png;

/// <summary>The IHDR chunk.</summary>
internal readonly record struct PngHeader(int Width, int Height, int Depth, int ColorType, bool Interlaced)
{
    public const int Grey = 0;
    public const int Rgb = 2;
    public const int Palette = 3;
    public const int GreyAlpha = 4;
    public const int Rgba = 6;

    private const int Length = 13;

    /// <summary>Bits of a pixel.</summary>
    public int BitsPerPixel => Depth * ColorType switch
    {
        Rgb => 3,
        GreyAlpha => 2,
        Rgba => 4,
        _ => 1,
    };

    /// <summary>Bytes of a row of so many pixels, without the filter type.</summary>
    /// <param name="pixels">The pixels.</param>
    /// <returns>The bytes.</returns>
    public long RowBytes(int pixels) => (((long)pixels * BitsPerPixel) + 7) / 8;

    /// <summary>Reads and checks the chunk.</summary>
    /// <param name="data">Its content.</param>
    /// <param name="settings">The limit of the size.</param>
    /// <returns>The header.</returns>
    public static PngHeader Parse(ReadOnlySpan<byte> data, ImageDecoder settings)
    {
        if (data.Length != Length)
        {
            throw new ImageFormatException(string.Create(CultureInfo.InvariantCulture, $"is a damaged PNG: its header has {data.Length} bytes"));
        }

        uint width = BinaryPrimitives.ReadUInt32BigEndian(data);
        uint height = BinaryPrimitives.ReadUInt32BigEndian(data[4..]);
        settings.CheckSize(width, height);
        (int depth, int colorType) = (data[8], data[9]);
        bool known = colorType switch
        {
            Grey => depth is 1 or 2 or 4 or 8 or 16,
            Palette => depth is 1 or 2 or 4 or 8,
            Rgb or GreyAlpha or Rgba => depth is 8 or 16,
            _ => false,
        };
        if (!known)
        {
            throw new ImageFormatException(string.Create(CultureInfo.InvariantCulture, $"is a damaged PNG: there is no colour type {colorType} of {depth} bits"));
        }

        return data[10] == 0 && data[11] == 0 && data[12] <= 1
            ? new((int)width, (int)height, depth, colorType, data[12] == 1)
            : throw new ImageFormatException("is a damaged PNG: its compression, filter or interlace method does not exist");
    }
}
