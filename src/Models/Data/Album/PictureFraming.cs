using CrossAlign.Models.Data.Pictures;

namespace CrossAlign.Models.Data.Album;

/// <summary>A drawing as the renderer gives it: RGBA with straight alpha, rows from the top.</summary>
internal sealed record RenderedIcon(int Width, int Height, byte[] Rgba);

/// <summary>
/// Puts a drawing into a square frame on white ground, so that styles do not differ by their margins: cropped to what is drawn,
/// padded to a square, resampled (Lanczos, three lobes) and set in with a margin.
/// </summary>
internal static class PictureFraming
{
    /// <summary>Frames a drawing.</summary>
    /// <param name="icon">The drawing.</param>
    /// <param name="size">Height and width of the frame.</param>
    /// <param name="margin">White pixels on each side.</param>
    /// <param name="destination">uint8 [size, size, 3], overwritten.</param>
    /// <returns>False where nothing is drawn at all; the destination is white then.</returns>
    internal static bool Fit(RenderedIcon icon, int size, int margin, Span<byte> destination)
    {
        destination.Fill(255);
        (int left, int top, int right, int bottom) = AlphaBox(icon);
        if (right <= left)
        {
            return false;
        }

        int side = Math.Max(right - left, bottom - top);
        float[] square = OverWhite(icon, left - ((side - (right - left)) / 2), top - ((side - (bottom - top)) / 2), side);
        int inner = size - (2 * margin);
        float[] resized = Resample(square, side, inner);
        for (int y = 0; y < inner; y++)
        {
            for (int x = 0; x < 3 * inner; x++)
            {
                float value = resized[(y * 3 * inner) + x];
                destination[(((y + margin) * size) + margin) * 3 + x] = (byte)Math.Clamp(MathF.Round(value), 0, 255);
            }
        }

        return true;
    }

    private static (int Left, int Top, int Right, int Bottom) AlphaBox(RenderedIcon icon)
    {
        (int left, int top, int right, int bottom) = (icon.Width, icon.Height, 0, 0);
        for (int y = 0; y < icon.Height; y++)
        {
            for (int x = 0; x < icon.Width; x++)
            {
                if (icon.Rgba[(4 * ((y * icon.Width) + x)) + 3] != 0)
                {
                    left = Math.Min(left, x);
                    right = Math.Max(right, x + 1);
                    top = Math.Min(top, y);
                    bottom = y + 1;
                }
            }
        }

        return (left, top, right, bottom);
    }

    private static float[] OverWhite(RenderedIcon icon, int left, int top, int side)
    {
        float[] square = new float[3 * side * side];
        Array.Fill(square, 255);
        for (int y = Math.Max(0, -top); y < side && y + top < icon.Height; y++)
        {
            for (int x = Math.Max(0, -left); x < side && x + left < icon.Width; x++)
            {
                int source = 4 * (((y + top) * icon.Width) + x + left);
                float alpha = icon.Rgba[source + 3] / 255f;
                for (int channel = 0; channel < 3; channel++)
                {
                    square[(3 * ((y * side) + x)) + channel] = (icon.Rgba[source + channel] * alpha) + (255 * (1 - alpha));
                }
            }
        }

        return square;
    }

    /// <summary>Across, then down. Shrinking widens the kernel, so that nothing aliases.</summary>
    private static float[] Resample(float[] square, int side, int size)
    {
        (int Start, float[] Weights)[] taps = ResamplingTaps.Lanczos(side, size);
        float[] across = new float[3 * side * size];
        for (int y = 0; y < side; y++)
        {
            for (int x = 0; x < size; x++)
            {
                (int start, float[] weights) = taps[x];
                for (int channel = 0; channel < 3; channel++)
                {
                    float sum = 0;
                    for (int k = 0; k < weights.Length; k++)
                    {
                        sum += weights[k] * square[(3 * ((y * side) + start + k)) + channel];
                    }

                    across[(3 * ((y * size) + x)) + channel] = sum;
                }
            }
        }

        float[] result = new float[3 * size * size];
        for (int y = 0; y < size; y++)
        {
            (int start, float[] weights) = taps[y];
            for (int k = 0; k < weights.Length; k++)
            {
                ReadOnlySpan<float> row = across.AsSpan((start + k) * 3 * size, 3 * size);
                Span<float> target = result.AsSpan(y * 3 * size, 3 * size);
                for (int i = 0; i < row.Length; i++)
                {
                    target[i] += weights[k] * row[i];
                }
            }
        }

        return result;
    }
}
