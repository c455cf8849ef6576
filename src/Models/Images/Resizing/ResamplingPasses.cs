namespace CrossAlign.Models.Images.Resizing;

/// <summary>The passes of a resize.</summary>
internal static class ResamplingPasses
{
    private const int Half = 1 << (ResamplingWeights.FractionBits - 1);

    /// <summary>Resizes across.</summary>
    /// <param name="image">The picture.</param>
    /// <param name="weights">A column's sources.</param>
    /// <param name="firstRow">The first row wanted.</param>
    /// <param name="lastRow">Behind the last row wanted.</param>
    /// <returns>The wanted rows with new columns.</returns>
    public static RgbImage Horizontal(RgbImage image, ResamplingWeights weights, int firstRow, int lastRow)
    {
        (int width, int height) = (weights.Count, lastRow - firstRow);
        byte[] pixels = new byte[checked(3 * width * height)];
        int at = 0;
        for (int y = firstRow; y < lastRow; y++)
        {
            ReadOnlySpan<byte> row = image.Pixels.AsSpan(3 * y * image.Width, 3 * image.Width);
            for (int x = 0; x < width; x++, at += 3)
            {
                ReadOnlySpan<int> taps = weights.Taps(x);
                ReadOnlySpan<byte> source = row.Slice(3 * weights.Start(x), 3 * taps.Length);
                (int red, int green, int blue) = (Half, Half, Half);
                for (int k = 0; k < taps.Length; k++)
                {
                    int weight = taps[k];
                    red += weight * source[3 * k];
                    green += weight * source[(3 * k) + 1];
                    blue += weight * source[(3 * k) + 2];
                }

                pixels[at] = Level(red);
                pixels[at + 1] = Level(green);
                pixels[at + 2] = Level(blue);
            }
        }

        return new(width, height, pixels);
    }

    /// <summary>Resizes downwards.</summary>
    /// <param name="image">The picture.</param>
    /// <param name="weights">A row's sources.</param>
    /// <param name="firstColumn">The first column wanted.</param>
    /// <param name="lastColumn">Behind the last column wanted.</param>
    /// <returns>The wanted columns with new rows.</returns>
    public static RgbImage Vertical(RgbImage image, ResamplingWeights weights, int firstColumn, int lastColumn)
    {
        (int width, int height) = (lastColumn - firstColumn, weights.Count);
        byte[] pixels = new byte[checked(3 * width * height)];
        int[] sums = new int[3 * width];
        for (int y = 0; y < height; y++)
        {
            Array.Fill(sums, Half);
            ReadOnlySpan<int> taps = weights.Taps(y);
            for (int k = 0; k < taps.Length; k++)
            {
                int weight = taps[k];
                ReadOnlySpan<byte> source = image.Pixels.AsSpan(3 * (((weights.Start(y) + k) * image.Width) + firstColumn), sums.Length);
                for (int i = 0; i < source.Length; i++)
                {
                    sums[i] += weight * source[i];
                }
            }

            Span<byte> target = pixels.AsSpan(y * sums.Length, sums.Length);
            for (int i = 0; i < target.Length; i++)
            {
                target[i] = Level(sums[i]);
            }
        }

        return new(width, height, pixels);
    }

    /// <summary>Takes the old pixel at each new one's centre.</summary>
    public static RgbImage Nearest(RgbImage image, ResamplingAxis across, ResamplingAxis down)
    {
        int[] columns = Centres(across);
        int[] rows = Centres(down);
        byte[] pixels = new byte[3 * columns.Length * rows.Length];
        int at = 0;
        foreach (int row in rows)
        {
            foreach (int column in columns)
            {
                image.Pixels.AsSpan(3 * ((row * image.Width) + column), 3).CopyTo(pixels.AsSpan(at));
                at += 3;
            }
        }

        return new(columns.Length, rows.Length, pixels);
    }

    // Added up step by step from the first new sample on, as Pillow does: the rounding of the sum decides where a centre falls on an edge.
    private static int[] Centres(ResamplingAxis axis)
    {
        int[] centres = new int[axis.Count];
        double step = (double)axis.From / axis.To;
        double centre = step * 0.5;
        for (int i = 0; i < axis.First + axis.Count; i++, centre += step)
        {
            if (i >= axis.First)
            {
                centres[i - axis.First] = Math.Min((int)centre, axis.From - 1);
            }
        }

        return centres;
    }

    private static byte Level(int sum) => (byte)Math.Clamp(sum >> ResamplingWeights.FractionBits, 0, 255);
}
