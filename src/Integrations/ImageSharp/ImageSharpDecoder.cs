using System.Globalization;
using CrossAlign.Models;
using CrossAlign.Models.Images;
using SixLabors.ImageSharp;
using SixLabors.ImageSharp.Formats;
using SixLabors.ImageSharp.PixelFormats;
using SixLabors.ImageSharp.Processing;

namespace CrossAlign.Integrations.ImageSharp;

/// <summary>
/// Decodes what ImageSharp decodes, first frames only, upright as EXIF says and over white. The pixels of PNG files are those of
/// <see cref="CrossAlign.Models.Images.ImageDecoder"/>; those of JPEG files differ by the rounding of another inverse transform. Several threads may decode at once.
/// </summary>
public sealed class ImageSharpDecoder : CrossAlign.Models.Images.IImageDecoder
{
    /// <summary>The largest picture, in pixels; a larger one is an error before anything is allocated.</summary>
    public long MaxPixels { get; init; } = 178_956_970;

    /// <inheritdoc/>
    public RgbImage Decode(ReadOnlySpan<byte> bytes, string name)
    {
        ArgumentNullException.ThrowIfNull(name);
        try
        {
            ImageInfo info = Image.Identify(bytes);
            if ((long)info.Width * info.Height > Math.Min(MaxPixels, Array.MaxLength / 3))
            {
                throw new UserErrorException(
                    string.Create(CultureInfo.InvariantCulture, $"the picture '{name}' is too large: {info.Width} x {info.Height}, more than {MaxPixels} pixels"), "leave it out");
            }

            using Image<Rgba32> image = Image.Load<Rgba32>(new DecoderOptions { MaxFrames = 1, SkipMetadata = false }, bytes);
            image.Mutate(context => context.AutoOrient());
            return OverWhite(image);
        }
        catch (Exception e) when (e is UnknownImageFormatException or NotSupportedException)
        {
            throw new UserErrorException($"the picture '{name}' is of a kind that is not supported: {e.Message.ReplaceLineEndings(" ")}", "convert it to PNG or JPEG", e);
        }
        catch (Exception e) when (e is ImageFormatException or ImageProcessingException or InvalidOperationException)
        {
            throw new UserErrorException($"the picture '{name}' is damaged: {e.Message.ReplaceLineEndings(" ")}", "replace the file or leave it out", e);
        }
    }

    private static RgbImage OverWhite(Image<Rgba32> image)
    {
        byte[] pixels = new byte[3 * image.Width * image.Height];
        image.ProcessPixelRows(accessor =>
        {
            int at = 0;
            for (int y = 0; y < accessor.Height; y++)
            {
                foreach (ref readonly Rgba32 pixel in accessor.GetRowSpan(y))
                {
                    pixels[at++] = Blend(pixel.R, pixel.A);
                    pixels[at++] = Blend(pixel.G, pixel.A);
                    pixels[at++] = Blend(pixel.B, pixel.A);
                }
            }
        });
        return new RgbImage(image.Width, image.Height, pixels);
    }

    private static byte Blend(int value, int alpha) => (byte)(((value * alpha) + (255 * (255 - alpha)) + 127) / 255);
}
