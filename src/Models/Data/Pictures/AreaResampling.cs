namespace CrossAlign.Models.Data.Pictures;

/// <summary>
/// Brings a square picture to another size by averaging over the area that each new pixel covers, which does not alias; enlarging
/// repeats and blends. Once per picture, when a data set is loaded.
/// </summary>
internal static class AreaResampling
{
    /// <summary>Resizes.</summary>
    /// <param name="source">uint8 [from, from, 3].</param>
    /// <param name="from">Its size.</param>
    /// <param name="destination">uint8 [to, to, 3], overwritten.</param>
    /// <param name="to">Its size.</param>
    internal static void Resize(ReadOnlySpan<byte> source, int from, Span<byte> destination, int to)
    {
        if (from == to)
        {
            source[..(3 * from * from)].CopyTo(destination);
        }
        else if (from == 2 * to)
        {
            Halve(source, destination, to);
        }
        else
        {
            ByArea(source, from, destination, to);
        }
    }

    private static void Halve(ReadOnlySpan<byte> source, Span<byte> destination, int to)
    {
        int stride = 6 * to;
        for (int y = 0; y < to; y++)
        {
            ReadOnlySpan<byte> upper = source.Slice(2 * y * stride, stride);
            ReadOnlySpan<byte> lower = source.Slice(((2 * y) + 1) * stride, stride);
            Span<byte> row = destination.Slice(3 * y * to, 3 * to);
            for (int x = 0; x < to; x++)
            {
                for (int channel = 0; channel < 3; channel++)
                {
                    int i = (6 * x) + channel;
                    row[(3 * x) + channel] = (byte)((upper[i] + upper[i + 3] + lower[i] + lower[i + 3] + 2) >> 2);
                }
            }
        }
    }

    private static void ByArea(ReadOnlySpan<byte> source, int from, Span<byte> destination, int to)
    {
        double scale = (double)from / to;
        for (int y = 0; y < to; y++)
        {
            for (int x = 0; x < to; x++)
            {
                (double red, double green, double blue, double total) = (0, 0, 0, 0);
                (double top, double bottom) = (y * scale, (y + 1) * scale);
                (double left, double right) = (x * scale, (x + 1) * scale);
                for (int v = (int)top; v < from && v < bottom; v++)
                {
                    double height = Math.Min(bottom, v + 1) - Math.Max(top, v);
                    for (int u = (int)left; u < from && u < right; u++)
                    {
                        double area = height * (Math.Min(right, u + 1) - Math.Max(left, u));
                        ReadOnlySpan<byte> pixel = source.Slice(3 * ((v * from) + u), 3);
                        red += area * pixel[0];
                        green += area * pixel[1];
                        blue += area * pixel[2];
                        total += area;
                    }
                }

                Span<byte> target = destination.Slice(3 * ((y * to) + x), 3);
                target[0] = (byte)Math.Round(red / total);
                target[1] = (byte)Math.Round(green / total);
                target[2] = (byte)Math.Round(blue / total);
            }
        }
    }
}
