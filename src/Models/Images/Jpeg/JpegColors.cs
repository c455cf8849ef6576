namespace CrossAlign.Models.Images.Jpeg;

/// <summary>From the components' planes to RGB, in libjpeg's fixed point of 16 fraction bits.</summary>
internal static class JpegColors
{
    private const int Half = 1 << 15;

    /// <summary>Makes the picture.</summary>
    /// <param name="frame">The frame with all its samples.</param>
    /// <param name="isRgb">Whether its three components are red, green and blue instead of luma and chroma.</param>
    /// <returns>The picture.</returns>
    public static RgbImage ToRgb(JpegFrame frame, bool isRgb)
    {
        byte[] pixels = new byte[3 * frame.Width * frame.Height];
        JpegUpsampling[] planes = [.. frame.Components.Select(c => new JpegUpsampling(frame, c))];
        for (int y = 0; y < frame.Height; y++)
        {
            foreach (JpegUpsampling plane in planes)
            {
                plane.Make(y);
            }

            Span<byte> row = pixels.AsSpan(3 * y * frame.Width, 3 * frame.Width);
            if (planes.Length == 3 && !isRgb)
            {
                Convert(planes[0].Row, planes[1].Row, planes[2].Row, row);
            }
            else
            {
                for (int x = 0; x < frame.Width; x++)
                {
                    row[3 * x] = planes[0].Row[x];
                    row[(3 * x) + 1] = planes[planes.Length / 2].Row[x];
                    row[(3 * x) + 2] = planes[^1].Row[x];
                }
            }
        }

        return new(frame.Width, frame.Height, pixels);
    }

    private static void Convert(ReadOnlySpan<byte> luma, ReadOnlySpan<byte> blue, ReadOnlySpan<byte> red, Span<byte> rgb)
    {
        for (int x = 0; 3 * x < rgb.Length; x++)
        {
            (int y, int cb, int cr) = (luma[x], blue[x] - 128, red[x] - 128);
            rgb[3 * x] = Clip(y + (((91881 * cr) + Half) >> 16));
            rgb[(3 * x) + 1] = Clip(y + (((-22554 * cb) - (46802 * cr) + Half) >> 16));
            rgb[(3 * x) + 2] = Clip(y + (((116130 * cb) + Half) >> 16));
        }
    }

    private static byte Clip(int value) => (byte)Math.Clamp(value, 0, 255);
}
