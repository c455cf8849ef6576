using CrossAlign.Runtime;

namespace CrossAlign.Models.Data.Shapes;

/// <summary>Draws a scene in one of several hands.</summary>
internal static class ShapePainter
{
    private const uint JitterStream = 0x5A9E;

    /// <summary>The hands that draw; the last one is the unseen style.</summary>
    internal static readonly PictureStyle[] Styles =
    [
        new("filled", Unseen: false, "filled shapes", "MIT"),
        new("outline", Unseen: false, "outlines", "MIT"),
        new("striped", Unseen: false, "stripes", "MIT"),
        new("bordered", Unseen: false, "pale with a dark border", "MIT"),
        new("shaded", Unseen: false, "shaded like a ball, a little turned", "MIT"),
        new("dotted", Unseen: true, "dots", "MIT"),
    ];

    /// <summary>Draws one picture on white ground.</summary>
    /// <param name="form">What.</param>
    /// <param name="rgb">In which colour.</param>
    /// <param name="arrangement">How large, how many, where.</param>
    /// <param name="style">Index in <see cref="Styles"/>.</param>
    /// <param name="item">Names the picture: each is placed and turned a little differently, always the same way.</param>
    /// <param name="size">Height and width in pixels.</param>
    /// <param name="destination">uint8 [S, S, 3], overwritten.</param>
    internal static void Paint(ShapeForm form, (byte R, byte G, byte B) rgb, ShapeArrangement arrangement, int style, uint item, int size, Span<byte> destination)
    {
        destination.Fill(255);
        CounterRandom random = new(0, JitterStream, item, (uint)style);
        foreach ((float cx, float cy, float radius) in Places(arrangement))
        {
            float r = radius * random.NextSingle(0.93f, 1.07f);
            float x = cx + random.NextSingle(-0.05f, 0.05f);
            float y = cy + random.NextSingle(-0.05f, 0.05f);
            float tilt = Styles[style].Name == "shaded" ? random.NextSingle(-0.25f, 0.25f) : random.NextSingle(-0.06f, 0.06f);
            PaintOne(form, rgb, style, x, y, r, tilt, size, destination);
        }
    }

    private static ReadOnlySpan<(float X, float Y, float Radius)> Places(ShapeArrangement arrangement) => arrangement switch
    {
        ShapeArrangement.Big => s_big,
        ShapeArrangement.Small => s_small,
        ShapeArrangement.Two => s_two,
        ShapeArrangement.Three => s_three,
        ShapeArrangement.Left => s_left,
        ShapeArrangement.Right => s_right,
        ShapeArrangement.Top => s_top,
        _ => s_bottom,
    };

    private static readonly (float X, float Y, float Radius)[] s_big = [(0, 0, 0.86f)];
    private static readonly (float X, float Y, float Radius)[] s_small = [(0, 0, 0.34f)];
    private static readonly (float X, float Y, float Radius)[] s_two = [(-0.47f, 0, 0.42f), (0.47f, 0, 0.42f)];
    private static readonly (float X, float Y, float Radius)[] s_three = [(-0.49f, -0.42f, 0.4f), (0.49f, -0.42f, 0.4f), (0, 0.46f, 0.4f)];
    private static readonly (float X, float Y, float Radius)[] s_left = [(-0.5f, 0, 0.44f)];
    private static readonly (float X, float Y, float Radius)[] s_right = [(0.5f, 0, 0.44f)];
    private static readonly (float X, float Y, float Radius)[] s_top = [(0, 0.5f, 0.44f)];
    private static readonly (float X, float Y, float Radius)[] s_bottom = [(0, -0.5f, 0.44f)];

    private static void PaintOne(ShapeForm form, (byte R, byte G, byte B) rgb, int style, float cx, float cy, float radius, float tilt, int size, Span<byte> destination)
    {
        float pixel = 2f / size;
        float cos = MathF.Cos(tilt) / radius;
        float sin = MathF.Sin(tilt) / radius;
        float reach = (radius * 1.15f) + pixel;
        int left = Math.Clamp((int)((cx - reach + 1) / pixel), 0, size);
        int right = Math.Clamp((int)((cx + reach + 1) / pixel) + 1, 0, size);
        int top = Math.Clamp((int)((1 - cy - reach) / pixel), 0, size);
        int bottom = Math.Clamp((int)((1 - cy + reach) / pixel) + 1, 0, size);
        for (int row = top; row < bottom; row++)
        {
            float py = 1 - ((row + 0.5f) * pixel) - cy;
            for (int column = left; column < right; column++)
            {
                float px = ((column + 0.5f) * pixel) - 1 - cx;
                float u = (px * cos) + (py * sin);
                float v = (py * cos) - (px * sin);
                float distance = ShapeGeometry.Distance(form, u, v) * radius;
                float coverage = Math.Clamp(0.5f - (distance / pixel), 0, 1);
                if (coverage > 0)
                {
                    (float r, float g, float b) = Ink(rgb, style, u, v, distance, pixel);
                    Span<byte> target = destination.Slice(3 * ((row * size) + column), 3);
                    target[0] = Blend(target[0], r, coverage);
                    target[1] = Blend(target[1], g, coverage);
                    target[2] = Blend(target[2], b, coverage);
                }
            }
        }
    }

    /// <summary>The colour at a point inside an outline.</summary>
    private static (float R, float G, float B) Ink((byte R, byte G, byte B) rgb, int style, float u, float v, float distance, float pixel)
    {
        (float, float, float) full = (rgb.R, rgb.G, rgb.B);
        switch (style)
        {
            case 1:
                return Mix((255, 255, 255), full, Edge(distance, 0.09f, pixel));
            case 2:
                float stripe = MathF.Sin((u + v) * 9f);
                return Mix(full, Mix(full, (255, 255, 255), 0.65f), Math.Clamp(0.5f + (stripe * 3), 0, 1));
            case 3:
                return Mix(Mix(full, (255, 255, 255), 0.4f), Mix(full, (0, 0, 0), 0.55f), Edge(distance, 0.06f, pixel));
            case 4:
                float light = Math.Clamp(1 - MathF.Sqrt(((u + 0.35f) * (u + 0.35f)) + ((v - 0.35f) * (v - 0.35f))), -0.5f, 1);
                return light > 0 ? Mix(full, (255, 255, 255), light * 0.55f) : Mix(full, (0, 0, 0), -light * 0.6f);
            case 5:
                float du = (u * 4.5f) - MathF.Round(u * 4.5f);
                float dv = (v * 4.5f) - MathF.Round(v * 4.5f);
                float dot = MathF.Sqrt((du * du) + (dv * dv));
                return Mix(full, Mix(full, (255, 255, 255), 0.8f), Math.Clamp((dot - 0.36f) * 8, 0, 1));
            default:
                return full;
        }
    }

    /// <summary>1 within a band along the inside of the outline, 0 further in.</summary>
    private static float Edge(float distance, float width, float pixel) => Math.Clamp(((distance + MathF.Max(width, 1.2f * pixel)) / pixel) + 0.5f, 0, 1);

    private static (float R, float G, float B) Mix((float R, float G, float B) a, (float R, float G, float B) b, float t) =>
        (a.R + ((b.R - a.R) * t), a.G + ((b.G - a.G) * t), a.B + ((b.B - a.B) * t));

    private static byte Blend(byte below, float above, float coverage) => (byte)MathF.Round(below + ((above - below) * coverage));
}
