namespace CrossAlign.Models.Data.Shapes;

/// <summary>
/// Signed distances to the outlines, each within the unit disc with y upwards: negative inside, so that one number gives an
/// anti-aliased fill, an outline and a gradient.
/// </summary>
internal static class ShapeGeometry
{
    private static readonly (float X, float Y)[] s_triangle = [(0, 0.95f), (-0.9f, -0.65f), (0.9f, -0.65f)];
    private static readonly (float X, float Y)[] s_roof = [(0, 0.95f), (-0.95f, 0.1f), (0.95f, 0.1f)];
    private static readonly (float X, float Y)[] s_tail = [(0.35f, 0), (0.95f, 0.5f), (0.95f, -0.5f)];
    private static readonly (float X, float Y)[] s_hull = [(-0.95f, -0.25f), (0.95f, -0.25f), (0.55f, -0.8f), (-0.55f, -0.8f)];
    private static readonly (float X, float Y)[] s_sail = [(0.05f, 0.95f), (0.05f, -0.12f), (0.75f, -0.12f)];
    private static readonly (float X, float Y)[] s_wedge = [(0, -0.9f), (0.82f, 0.054f), (0.44f, 0.38f), (0, 0.61f), (-0.44f, 0.38f), (-0.82f, 0.054f)];
    private static readonly (float X, float Y)[] s_star = Star();
    private static readonly (float X, float Y)[] s_petals = [.. Enumerable.Range(0, 5).Select(i => Polar(0.52f, (90 + (72 * i)) * MathF.PI / 180))];

    /// <summary>The signed distance of a point to an outline.</summary>
    /// <param name="form">The outline.</param>
    /// <param name="x">To the right.</param>
    /// <param name="y">Upwards.</param>
    /// <returns>Negative inside.</returns>
    internal static float Distance(ShapeForm form, float x, float y) => form switch
    {
        ShapeForm.Circle => Disc(x, y, 0, 0, 0.9f),
        ShapeForm.Square => Box(x, y, 0.78f, 0.78f),
        ShapeForm.Triangle => Polygon(s_triangle, x, y),
        ShapeForm.Star => Polygon(s_star, x, y),
        ShapeForm.Heart => Heart(x, y),
        ShapeForm.Cross => MathF.Min(Box(x, y, 0.9f, 0.3f), Box(x, y, 0.3f, 0.9f)),
        ShapeForm.Moon => MathF.Max(Disc(x, y, 0, 0, 0.9f), -Disc(x, y, 0.42f, 0.12f, 0.75f)),
        ShapeForm.Flower => Flower(x, y),
        ShapeForm.House => MathF.Min(Box(x, y + 0.4f, 0.65f, 0.52f), Polygon(s_roof, x, y)),
        ShapeForm.Fish => MathF.Min(Ellipse(x + 0.22f, y, 0.72f, 0.45f), Polygon(s_tail, x, y)),
        _ => MathF.Min(Polygon(s_hull, x, y), Polygon(s_sail, x, y)),
    };

    private static float Disc(float x, float y, float cx, float cy, float radius) => MathF.Sqrt(((x - cx) * (x - cx)) + ((y - cy) * (y - cy))) - radius;

    private static float Box(float x, float y, float halfWidth, float halfHeight)
    {
        float dx = MathF.Abs(x) - halfWidth;
        float dy = MathF.Abs(y) - halfHeight;
        float outsideX = MathF.Max(dx, 0);
        float outsideY = MathF.Max(dy, 0);
        return MathF.Sqrt((outsideX * outsideX) + (outsideY * outsideY)) + MathF.Min(MathF.Max(dx, dy), 0);
    }

    private static float Ellipse(float x, float y, float a, float b)
    {
        // First-order distance f / |grad f|, good near the outline, which is where the edge is blended.
        float f = MathF.Sqrt(((x / a) * (x / a)) + ((y / b) * (y / b)));
        float gradient = MathF.Sqrt(((x / (a * a)) * (x / (a * a))) + ((y / (b * b)) * (y / (b * b))));
        return gradient < 1e-6f ? -MathF.Min(a, b) : f * (f - 1) / gradient;
    }

    private static float Heart(float x, float y)
    {
        // Two discs, and the wedge whose sides touch them.
        return MathF.Min(Disc(MathF.Abs(x), y, 0.44f, 0.38f, 0.5f), Polygon(s_wedge, x, y));
    }

    private static float Flower(float x, float y)
    {
        float distance = Disc(x, y, 0, 0, 0.3f);
        foreach ((float px, float py) in s_petals)
        {
            distance = MathF.Min(distance, Disc(x, y, px, py, 0.36f));
        }

        // A hole in the middle, so that it is not taken for a rounded pentagon.
        return MathF.Max(distance, -Disc(x, y, 0, 0, 0.2f));
    }

    private static float Polygon(ReadOnlySpan<(float X, float Y)> corners, float x, float y)
    {
        float nearest = float.MaxValue;
        bool inside = false;
        (float X, float Y) previous = corners[^1];
        foreach ((float X, float Y) corner in corners)
        {
            float ex = previous.X - corner.X;
            float ey = previous.Y - corner.Y;
            float wx = x - corner.X;
            float wy = y - corner.Y;
            float along = Math.Clamp(((wx * ex) + (wy * ey)) / ((ex * ex) + (ey * ey)), 0, 1);
            float bx = wx - (ex * along);
            float by = wy - (ey * along);
            nearest = MathF.Min(nearest, (bx * bx) + (by * by));
            if ((corner.Y > y) != (previous.Y > y) && x < ((previous.X - corner.X) * (y - corner.Y) / (previous.Y - corner.Y)) + corner.X)
            {
                inside = !inside;
            }

            previous = corner;
        }

        float distance = MathF.Sqrt(nearest);
        return inside ? -distance : distance;
    }

    private static (float X, float Y)[] Star() =>
        [.. Enumerable.Range(0, 10).Select(i => Polar(i % 2 == 0 ? 0.98f : 0.42f, (90 + (36 * i)) * MathF.PI / 180))];

    private static (float X, float Y) Polar(float radius, float angle) => (radius * MathF.Cos(angle), radius * MathF.Sin(angle));
}
