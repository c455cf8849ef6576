using System.Globalization;
using System.IO.Compression;

namespace CrossAlign.Models.Images.Png;

/// <summary>
/// PNG (ISO/IEC 15948): all colour types, bit depths and filters, Adam7, tRNS. gAMA, iCCP, sRGB and bKGD are ignored, as Pillow does.
/// Checksums, sizes and the order of the critical chunks are checked; what is wrong there is an error.
/// </summary>
internal static class PngDecoder
{
    /// <summary>Deflate cannot expand more than this.</summary>
    private const long MostExpansion = 1032;

    private static ReadOnlySpan<byte> Signature => [0x89, (byte)'P', (byte)'N', (byte)'G', 13, 10, 26, 10];

    /// <summary>Whether a file begins as a PNG.</summary>
    /// <param name="bytes">The file.</param>
    /// <returns>Whether it does.</returns>
    public static bool Matches(ReadOnlySpan<byte> bytes) => bytes.StartsWith(Signature);

    /// <summary>Decodes a file.</summary>
    /// <param name="bytes">The file.</param>
    /// <param name="settings">Limits, orientation, alpha.</param>
    /// <returns>The picture.</returns>
    public static RgbImage Decode(ReadOnlySpan<byte> bytes, ImageDecoder settings)
    {
        PngChunks chunks = PngChunks.Parse(bytes[Signature.Length..], settings);
        PngHeader header = chunks.Header;
        long raw = Passes(header).Sum(p => p.Height * (1 + header.RowBytes(p.Width)));
        if (raw > MostExpansion * chunks.Data.Length)
        {
            throw new ImageFormatException(
                string.Create(CultureInfo.InvariantCulture, $"is a damaged PNG: {chunks.Data.Length} bytes cannot hold {header.Width} x {header.Height} pixels"));
        }

        PngPixels pixels = new(header, chunks.Palette, chunks.Transparency, settings.Alpha == ImageAlpha.OverWhite);
        try
        {
            using ZLibStream stream = new(new MemoryStream(chunks.Data, writable: false), CompressionMode.Decompress);
            foreach (Pass pass in Passes(header))
            {
                ReadPass(stream, header, pass, pixels);
            }

            // Reading on makes the library check the checksum.
            if (stream.ReadByte() >= 0)
            {
                throw new ImageFormatException("is a damaged PNG: it holds more data than its size says");
            }
        }
        catch (Exception e) when (e is InvalidDataException or IOException)
        {
            throw new ImageFormatException($"is a damaged PNG: {e.Message}");
        }

        RgbImage image = new(header.Width, header.Height, pixels.Output);
        return settings.ApplyOrientation ? ExifOrientation.Apply(image, chunks.Orientation) : image;
    }

    private static IEnumerable<Pass> Passes(PngHeader header)
    {
        if (!header.Interlaced)
        {
            return [new(0, 0, 1, 1, header.Width, header.Height)];
        }

        (int X, int Y, int StepX, int StepY)[] adam7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)];
        return adam7
            .Select(p => new Pass(p.X, p.Y, p.StepX, p.StepY, Count(header.Width, p.X, p.StepX), Count(header.Height, p.Y, p.StepY)))
            .Where(static p => p.Width > 0 && p.Height > 0);

        static int Count(int size, int first, int step) => size <= first ? 0 : (size - first - 1) / step + 1;
    }

    private static void ReadPass(ZLibStream stream, in PngHeader header, in Pass pass, PngPixels pixels)
    {
        int length = (int)header.RowBytes(pass.Width);
        int distance = Math.Max(1, header.BitsPerPixel / 8);
        byte[] row = new byte[1 + length];
        byte[] above = new byte[1 + length];
        for (int y = 0; y < pass.Height; y++)
        {
            if (stream.ReadAtLeast(row, row.Length, throwOnEndOfStream: false) < row.Length)
            {
                throw new ImageFormatException("is a damaged PNG: its data ends early");
            }

            PngFilter.Undo(row[0], row.AsSpan(1), above.AsSpan(1), distance);
            pixels.Write(row.AsSpan(1), pass.Width, pass.Y + (y * pass.StepY), pass.X, pass.StepX);
            (row, above) = (above, row);
        }
    }

    /// <summary>One pass of interlacing: where its pixels lie.</summary>
    private readonly record struct Pass(int X, int Y, int StepX, int StepY, int Width, int Height);
}
