using System.Globalization;
using CrossAlign.Models.Images.Jpeg;
using CrossAlign.Models.Images.Png;

namespace CrossAlign.Models.Images;

/// <summary>
/// PNG (all colour types, bit depths, interlacing, tRNS) and JPEG (baseline and progressive, Huffman coded, 8 bits, grey or three
/// components; the pixels are libjpeg-turbo's to the bit), told apart by their first bytes, never by the name. Everything else is
/// refused by naming its kind. A damaged file is an error, not half a picture. What is allocated is bounded by the size of the file
/// and by <see cref="MaxPixels"/>.
/// </summary>
public sealed class ImageDecoder : IImageDecoder
{
    /// <summary>The decoder with default settings.</summary>
    public static ImageDecoder Default { get; } = new();

    /// <summary>The decoder of picture files where a caller names none: <see cref="Default"/>, or what <see cref="Use"/> put in its place.</summary>
    public static IImageDecoder Current { get; private set; } = Default;

    /// <summary>Puts another decoder in the place of this one, for the whole process; call it before pictures are read.</summary>
    /// <param name="decoder">The decoder.</param>
    public static void Use(IImageDecoder decoder)
    {
        ArgumentNullException.ThrowIfNull(decoder);
        Current = decoder;
    }

    /// <summary>Whether the orientation that EXIF names is applied (default), as published preprocessing does.</summary>
    public bool ApplyOrientation { get; init; } = true;

    /// <summary>What becomes of transparent parts.</summary>
    public ImageAlpha Alpha { get; init; } = ImageAlpha.OverWhite;

    /// <summary>The largest picture, in pixels; a larger one is an error before anything is allocated.</summary>
    public long MaxPixels { get; init; } = 178_956_970;

    /// <inheritdoc/>
    public RgbImage Decode(ReadOnlySpan<byte> bytes, string name)
    {
        ArgumentNullException.ThrowIfNull(name);
        try
        {
            if (PngDecoder.Matches(bytes))
            {
                return PngDecoder.Decode(bytes, this);
            }

            return JpegDecoder.Matches(bytes) ? JpegDecoder.Decode(bytes, this) : throw NotSupported(bytes);
        }
        catch (ImageFormatException e)
        {
            throw new UserErrorException(
                $"the picture '{name}' {e.Message}", e.Unsupported ? "convert it to PNG or JPEG (RGB or grey, 8 bits)" : "replace the file or leave it out", e);
        }
    }

    /// <summary>Reads and decodes a file.</summary>
    /// <param name="path">The file.</param>
    /// <returns>The picture.</returns>
    /// <exception cref="UserErrorException">The file cannot be read, is damaged, or is of a kind not supported; the message names it.</exception>
    public RgbImage DecodeFile(string path)
    {
        byte[] bytes;
        try
        {
            bytes = File.ReadAllBytes(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new UserErrorException($"the picture '{path}' cannot be read: {e.Message}", "check the path", e);
        }

        return Decode(bytes, path);
    }

    /// <summary>Checks a size before anything is allocated for it.</summary>
    /// <param name="width">Width.</param>
    /// <param name="height">Height.</param>
    internal void CheckSize(long width, long height)
    {
        if (width < 1 || height < 1)
        {
            throw new ImageFormatException(string.Create(CultureInfo.InvariantCulture, $"is damaged: its size is {width} x {height}"));
        }

        if (width > MaxPixels || height > MaxPixels || width * height > Math.Min(MaxPixels, Array.MaxLength / 3))
        {
            throw new ImageFormatException(string.Create(CultureInfo.InvariantCulture, $"is too large: {width} x {height}, more than {MaxPixels} pixels"));
        }
    }

    private static ImageFormatException NotSupported(ReadOnlySpan<byte> bytes)
    {
        if (bytes.IsEmpty)
        {
            return new("is empty");
        }

        string? kind = bytes switch
        {
            [(byte)'G', (byte)'I', (byte)'F', (byte)'8', ..] => "a GIF picture",
            [(byte)'B', (byte)'M', _, _, _, _, 0, 0, 0, 0, ..] => "a BMP picture",
            [(byte)'I', (byte)'I', 42 or 43, 0, ..] or [(byte)'M', (byte)'M', 0, 42 or 43, ..] => "a TIFF picture",
            [(byte)'R', (byte)'I', (byte)'F', (byte)'F', _, _, _, _, (byte)'W', (byte)'E', (byte)'B', (byte)'P', ..] => "a WebP picture",
            [_, _, _, _, (byte)'f', (byte)'t', (byte)'y', (byte)'p', (byte)'a', (byte)'v', (byte)'i', (byte)'f' or (byte)'s', ..] => "an AVIF picture",
            [_, _, _, _, (byte)'f', (byte)'t', (byte)'y', (byte)'p', (byte)'h' or (byte)'m', (byte)'e' or (byte)'i', ..] => "a HEIF picture",
            [0xFF, 0x0A, ..] or [0, 0, 0, 12, (byte)'J', (byte)'X', (byte)'L', ..] => "a JPEG XL picture",
            [0, 0, 0, 12, (byte)'j', (byte)'P', ..] or [0xFF, 0x4F, 0xFF, 0x51, ..] => "a JPEG 2000 picture",
            [0, 0, 1, 0, ..] => "an ICO picture",
            [(byte)'8', (byte)'B', (byte)'P', (byte)'S', ..] => "a Photoshop picture",
            [(byte)'%', (byte)'P', (byte)'D', (byte)'F', ..] => "a PDF document",
            _ => null,
        };
        return kind is null ? new("is neither PNG nor JPEG") : ImageFormatException.Refused(kind);
    }
}
