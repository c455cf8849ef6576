using System.Buffers.Binary;

namespace CrossAlign.Models.Images.Png;

/// <summary>Turns unfiltered rows into RGB: 16 bits by their high byte, 1, 2 and 4 bits times 255, 85 and 17, transparent parts as asked.</summary>
/// <param name="header">The header.</param>
/// <param name="palette">Red, green, blue of each entry; empty without a palette.</param>
/// <param name="transparency">The tRNS chunk; empty without.</param>
/// <param name="overWhite">Whether transparent parts are laid over white.</param>
internal sealed class PngPixels(in PngHeader header, byte[] palette, byte[] transparency, bool overWhite)
{
    private readonly PngHeader _header = header;
    private readonly bool _hasKey = overWhite && transparency.Length > 0 && header.ColorType is PngHeader.Grey or PngHeader.Rgb;

    /// <summary>uint8 [height, width, 3].</summary>
    public byte[] Output { get; } = new byte[3L * header.Width * header.Height];

    /// <summary>Converts a row.</summary>
    /// <param name="row">The unfiltered bytes.</param>
    /// <param name="count">Pixels in it.</param>
    /// <param name="y">The picture's row.</param>
    /// <param name="x">The column of the first pixel.</param>
    /// <param name="step">Columns from one pixel to the next.</param>
    public void Write(ReadOnlySpan<byte> row, int count, int y, int x, int step)
    {
        int to = 3 * ((y * _header.Width) + x);
        for (int i = 0; i < count; i++, to += 3 * step)
        {
            Span<byte> pixel = Output.AsSpan(to, 3);
            switch (_header.ColorType)
            {
                case PngHeader.Grey:
                    WriteGrey(row, i, pixel);
                    break;
                case PngHeader.Palette:
                    WritePalette(Sample(row, i), pixel);
                    break;
                default:
                    WriteWhole(row[(i * (_header.BitsPerPixel / 8))..], pixel);
                    break;
            }
        }
    }

    private static byte OverWhite(int value, int alpha) => (byte)(((value * alpha) + (255 * (255 - alpha)) + 127) / 255);

    private int Sample(ReadOnlySpan<byte> row, int i)
    {
        int bit = i * _header.Depth;
        return (row[bit >> 3] >> (8 - _header.Depth - (bit & 7))) & ((1 << _header.Depth) - 1);
    }

    private void WriteGrey(ReadOnlySpan<byte> row, int i, Span<byte> pixel)
    {
        int sample = _header.Depth switch
        {
            16 => BinaryPrimitives.ReadUInt16BigEndian(row[(2 * i)..]),
            8 => row[i],
            _ => Sample(row, i),
        };
        int value = _header.Depth == 16 ? sample >> 8 : sample * (255 / ((1 << _header.Depth) - 1));
        bool hidden = _hasKey && sample == (BinaryPrimitives.ReadUInt16BigEndian(transparency) & ((1 << _header.Depth) - 1));
        pixel.Fill(hidden ? (byte)255 : (byte)value);
    }

    private void WritePalette(int index, Span<byte> pixel)
    {
        if (3 * index >= palette.Length)
        {
            throw new ImageFormatException("is a damaged PNG: a pixel's colour is not in the palette");
        }

        palette.AsSpan(3 * index, 3).CopyTo(pixel);
        if (index < transparency.Length)
        {
            Blend(pixel, transparency[index]);
        }
    }

    private void WriteWhole(ReadOnlySpan<byte> samples, Span<byte> pixel)
    {
        int bytes = _header.Depth / 8;
        if (_header.ColorType == PngHeader.GreyAlpha)
        {
            pixel.Fill(samples[0]);
            Blend(pixel, samples[bytes]);
            return;
        }

        (pixel[0], pixel[1], pixel[2]) = (samples[0], samples[bytes], samples[2 * bytes]);
        if (_header.ColorType == PngHeader.Rgba)
        {
            Blend(pixel, samples[3 * bytes]);
        }
        else if (_hasKey && IsKey(samples, bytes))
        {
            pixel.Fill(255);
        }
    }

    private bool IsKey(ReadOnlySpan<byte> samples, int bytes)
    {
        ReadOnlySpan<byte> key = transparency;
        return bytes == 2
            ? samples[..6].SequenceEqual(key)
            : samples[0] == key[1] && samples[1] == key[3] && samples[2] == key[5];
    }

    private void Blend(Span<byte> pixel, int alpha)
    {
        if (overWhite && alpha < 255)
        {
            (pixel[0], pixel[1], pixel[2]) = (OverWhite(pixel[0], alpha), OverWhite(pixel[1], alpha), OverWhite(pixel[2], alpha));
        }
    }
}
