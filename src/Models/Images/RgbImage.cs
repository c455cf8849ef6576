namespace CrossAlign.Models.Images;

/// <summary>A decoded picture: uint8 [height, width, 3], rows from the top, channels red, green, blue.</summary>
public sealed class RgbImage
{
    /// <summary>Wraps pixels.</summary>
    /// <param name="width">Width in pixels, at least 1.</param>
    /// <param name="height">Height in pixels, at least 1.</param>
    /// <param name="pixels">uint8 [height, width, 3]; kept, not copied.</param>
    /// <exception cref="ArgumentException"><paramref name="pixels"/> is of another length.</exception>
    public RgbImage(int width, int height, byte[] pixels)
    {
        ArgumentNullException.ThrowIfNull(pixels);
        ArgumentOutOfRangeException.ThrowIfLessThan(width, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(height, 1);
        if (pixels.LongLength != 3L * width * height)
        {
            throw new ArgumentException("a picture has 3 bytes for every pixel", nameof(pixels));
        }

        Width = width;
        Height = height;
        Pixels = pixels;
    }

    /// <summary>Width in pixels.</summary>
    public int Width { get; }

    /// <summary>Height in pixels.</summary>
    public int Height { get; }

    /// <summary>uint8 [height, width, 3].</summary>
    public byte[] Pixels { get; }
}
