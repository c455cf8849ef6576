using CrossAlign.Models.Images;

namespace CrossAlign.Models.Data.Pictures;

/// <summary>Brings a picture of any shape into a square of the size that a tower reads.</summary>
internal static class SquareFitting
{
    /// <summary>Fits a picture.</summary>
    /// <param name="image">The picture.</param>
    /// <param name="fit">How.</param>
    /// <param name="size">Height and width of the square.</param>
    /// <param name="destination">uint8 [size, size, 3], overwritten.</param>
    internal static void Fit(RgbImage image, PictureFit fit, int size, Span<byte> destination)
    {
        destination.Fill(255);
        int shorter = Math.Min(image.Width, image.Height);
        int longer = Math.Max(image.Width, image.Height);
        (int left, int top, int width, int height) = fit == PictureFit.Crop
            ? ((image.Width - shorter) / 2, (image.Height - shorter) / 2, shorter, shorter)
            : (0, 0, image.Width, image.Height);
        (int newWidth, int newHeight) = fit == PictureFit.Pad ? (Side(image.Width), Side(image.Height)) : (size, size);
        (int x, int y) = ((size - newWidth) / 2, (size - newHeight) / 2);
        float[] across = Across(image, left, top, width, height, newWidth);
        (int Start, float[] Weights)[] taps = ResamplingTaps.Triangle(height, newHeight);
        float[] row = new float[3 * newWidth];
        for (int v = 0; v < newHeight; v++)
        {
            (int start, float[] weights) = taps[v];
            Array.Clear(row);
            for (int k = 0; k < weights.Length; k++)
            {
                ReadOnlySpan<float> source = across.AsSpan((start + k) * row.Length, row.Length);
                for (int i = 0; i < row.Length; i++)
                {
                    row[i] += weights[k] * source[i];
                }
            }

            Span<byte> target = destination.Slice(3 * (((y + v) * size) + x), row.Length);
            for (int i = 0; i < row.Length; i++)
            {
                target[i] = (byte)Math.Clamp(MathF.Round(row[i]), 0, 255);
            }
        }

        int Side(int side) => Math.Max(1, (int)Math.Round((double)side * size / longer));
    }

    private static float[] Across(RgbImage image, int left, int top, int width, int height, int newWidth)
    {
        (int Start, float[] Weights)[] taps = ResamplingTaps.Triangle(width, newWidth);
        float[] across = new float[3 * newWidth * height];
        for (int v = 0; v < height; v++)
        {
            ReadOnlySpan<byte> source = image.Pixels.AsSpan(3 * (((top + v) * image.Width) + left), 3 * width);
            Span<float> target = across.AsSpan(3 * v * newWidth, 3 * newWidth);
            for (int u = 0; u < newWidth; u++)
            {
                (int start, float[] weights) = taps[u];
                (float red, float green, float blue) = (0, 0, 0);
                for (int k = 0; k < weights.Length; k++)
                {
                    int i = 3 * (start + k);
                    red += weights[k] * source[i];
                    green += weights[k] * source[i + 1];
                    blue += weights[k] * source[i + 2];
                }

                target[3 * u] = red;
                target[(3 * u) + 1] = green;
                target[(3 * u) + 2] = blue;
            }
        }

        return across;
    }
}
