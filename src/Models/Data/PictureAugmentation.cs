using System.Buffers.Binary;
using System.Globalization;
using System.Numerics;
using System.Runtime.Intrinsics;
using CrossAlign.Models.Images;
using CrossAlign.Runtime;

namespace CrossAlign.Models.Data;

/// <summary>
/// Turns, scales, shifts and recolours pictures a little, differently at every step, and writes them as a tower reads them. No flips:
/// arrows and letters would say something else.
/// </summary>
/// <remarks>
/// With strength k: scale from 1 - 0.1 k to 1 + 0.15 k, rotation up to 0.15 k rad, shift up to 0.1 k of half the width, contrast of each
/// channel 1 +- 0.25 k, brightness from 1 - 0.15 k to 1 + 0.1 k, and with probability 0.1 grey (for k above 0). Around a picture lies white.
/// One instance serves one thread; it allocates nothing after its construction.
/// </remarks>
public sealed class PictureAugmentation
{
    private const uint Stream = 0xA06;
    private const float GreyProbability = 0.1f;

    private readonly int _size;
    private readonly int _stride;
    private readonly Vector4[] _ground;
    private readonly PictureNormalization _normalization;

    /// <summary>Prepares for pictures of a size.</summary>
    /// <param name="size">Height and width, at least 2.</param>
    /// <param name="normalization">How the tower takes pictures.</param>
    public PictureAugmentation(int size, PictureNormalization normalization)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(size, 2);
        _size = size;
        _normalization = normalization;

        // Two white pixels all around: coordinates are clamped into the border, where all four neighbours are white.
        _stride = size + 4;
        _ground = new Vector4[_stride * _stride];
        Array.Fill(_ground, Vector4.One);
    }

    /// <summary>Height and width of the pictures.</summary>
    public int Size => _size;

    /// <summary>Augments a picture and normalises it.</summary>
    /// <param name="rgb">uint8 [S, S, 3].</param>
    /// <param name="strength">k; 0 leaves the picture as it is.</param>
    /// <param name="seed">The run's seed.</param>
    /// <param name="step">The step.</param>
    /// <param name="item">Names the example (its concept), never its place in a batch.</param>
    /// <param name="destination">float32 [3, S, S], overwritten.</param>
    /// <exception cref="ArgumentException">A span is of another length.</exception>
    public void Apply(ReadOnlySpan<byte> rgb, float strength, ulong seed, int step, int item, Span<float> destination)
    {
        if (strength <= 0)
        {
            Normalize(rgb, _size, _normalization, destination);
            return;
        }

        CheckLengths(rgb, _size, destination);
        CounterRandom random = new(seed, Stream, (uint)item, (uint)step);
        float scale = random.NextSingle(1 - (0.1f * strength), 1 + (0.15f * strength));
        float angle = random.NextSingle(-0.15f * strength, 0.15f * strength);
        float shiftX = random.NextSingle(-0.1f * strength, 0.1f * strength);
        float shiftY = random.NextSingle(-0.1f * strength, 0.1f * strength);
        Vector4 contrast = new(
            random.NextSingle(1 - (0.25f * strength), 1 + (0.25f * strength)),
            random.NextSingle(1 - (0.25f * strength), 1 + (0.25f * strength)),
            random.NextSingle(1 - (0.25f * strength), 1 + (0.25f * strength)),
            1);
        float brightness = random.NextSingle(1 - (0.15f * strength), 1 + (0.1f * strength));
        bool grey = random.NextSingle() < GreyProbability;
        Load(rgb, grey);

        // x -> (0.5 + (x - 0.5) contrast) brightness, then (x - mean) / deviation, as one product and one sum.
        Vector4 deviation = new(_normalization.Deviation, 1);
        Vector4 gain = contrast * (new Vector4(brightness) / deviation);
        Vector4 offset = ((((Vector4.One - contrast) * 0.5f) * brightness) - new Vector4(_normalization.Mean, 0)) / deviation;
        Sample(scale, angle, shiftX, shiftY, gain, offset, destination);
    }

    /// <summary>Writes a picture as a tower reads it, as it is.</summary>
    /// <param name="rgb">uint8 [S, S, 3].</param>
    /// <param name="size">S.</param>
    /// <param name="normalization">How the tower takes pictures: x from 0 to 1 becomes (x - mean) / deviation.</param>
    /// <param name="destination">float32 [3, S, S], overwritten.</param>
    /// <exception cref="ArgumentException">A span is of another length.</exception>
    public static void Normalize(ReadOnlySpan<byte> rgb, int size, PictureNormalization normalization, Span<float> destination)
    {
        CheckLengths(rgb, size, destination);
        int plane = size * size;
        for (int channel = 0; channel < 3; channel++)
        {
            Span<float> target = destination.Slice(channel * plane, plane);
            float mean = normalization.Mean[channel];
            float deviation = normalization.Deviation[channel];
            for (int i = 0; i < target.Length; i++)
            {
                target[i] = ((rgb[(3 * i) + channel] / 255f) - mean) / deviation;
            }
        }
    }

    /// <summary>What is done to pictures of any shape where nothing is augmented: shown whole on white, then normalised.</summary>
    /// <param name="size">Height and width that the tower reads.</param>
    /// <param name="normalization">How the tower takes pictures.</param>
    /// <returns>The preprocessor.</returns>
    public static ImagePreprocessor PreprocessorOf(int size, PictureNormalization normalization)
    {
        double[] mean = [Shortest(normalization.Mean.X), Shortest(normalization.Mean.Y), Shortest(normalization.Mean.Z)];
        double[] deviation = [Shortest(normalization.Deviation.X), Shortest(normalization.Deviation.Y), Shortest(normalization.Deviation.Z)];
        return new ImagePreprocessor { Sizing = ImageSizing.Pad, Height = size, Width = size, Mean = mean, Deviation = deviation };

        // 0.35 and not 0.3499999940395355.
        static double Shortest(float value) => double.Parse(value.ToString("R", CultureInfo.InvariantCulture), CultureInfo.InvariantCulture);
    }

    private void Load(ReadOnlySpan<byte> rgb, bool grey)
    {
        const float Unit = 1f / 255;
        for (int y = 0; y < _size; y++)
        {
            Span<Vector4> row = _ground.AsSpan(((y + 2) * _stride) + 2, _size);
            int start = 3 * y * _size;
            for (int x = 0; x < row.Length; x++)
            {
                // Four bytes at once: the fourth lane is the next pixel's red, which nobody reads. Behind the last pixel there is no fourth byte.
                int place = start + (3 * x);
                uint packed = place + 4 <= rgb.Length
                    ? BinaryPrimitives.ReadUInt32LittleEndian(rgb[place..])
                    : BinaryPrimitives.ReadUInt32LittleEndian(rgb[(place - 1)..]) >> 8;
                Vector128<uint> wide = Vector128.WidenLower(Vector128.WidenLower(Vector128.CreateScalar(packed).AsByte()));
                row[x] = Vector128.ConvertToSingle(wide.AsInt32()).AsVector4() * Unit;
            }

            if (grey)
            {
                for (int x = 0; x < row.Length; x++)
                {
                    row[x] = new Vector4(Vector4.Dot(row[x], new(0.299f, 0.587f, 0.114f, 0)));
                }
            }
        }
    }

    /// <summary>Takes for every pixel the place it comes from, and blends the four pixels around it.</summary>
    private void Sample(float scale, float angle, float shiftX, float shiftY, Vector4 gain, Vector4 offset, Span<float> destination)
    {
        // A place p of the new picture (from the centre) shows the old picture at R(-angle) (p - shift) / scale.
        float cos = MathF.Cos(angle) / scale;
        float sin = MathF.Sin(angle) / scale;
        float half = _size / 2f;
        const float Smallest = 0.5f;
        float largest = _size + 2.5f;
        int plane = _size * _size;
        Span<float> red = destination[..plane];
        Span<float> green = destination.Slice(plane, plane);
        Span<float> blue = destination.Slice(2 * plane, plane);
        ReadOnlySpan<Vector4> ground = _ground;
        for (int y = 0; y < _size; y++)
        {
            float v = y + 0.5f - half - (shiftY * half);
            float u = 0.5f - half - (shiftX * half);

            // 2 for the border, -0.5 from pixel edges to centres.
            float sourceX = (u * cos) + (v * sin) + half + 1.5f;
            float sourceY = (v * cos) - (u * sin) + half + 1.5f;
            for (int x = 0; x < _size; x++)
            {
                float px = sourceX + (x * cos);
                float py = sourceY - (x * sin);
                px = px < Smallest ? Smallest : px > largest ? largest : px;
                py = py < Smallest ? Smallest : py > largest ? largest : py;
                int left = (int)px;
                int top = (int)py;
                int corner = (top * _stride) + left;
                float fx = px - left;
                float fy = py - top;
                Vector4 upper = Blend(ground[corner], ground[corner + 1], fx);
                Vector4 lower = Blend(ground[corner + _stride], ground[corner + _stride + 1], fx);
                Vector4 pixel = (Blend(upper, lower, fy) * gain) + offset;
                int i = (y * _size) + x;
                red[i] = pixel.X;
                green[i] = pixel.Y;
                blue[i] = pixel.Z;
            }
        }
    }

    private static Vector4 Blend(Vector4 a, Vector4 b, float t) => a + ((b - a) * t);

    private static void CheckLengths(ReadOnlySpan<byte> rgb, int size, Span<float> destination)
    {
        if (rgb.Length != 3 * size * size || destination.Length != 3 * size * size)
        {
            throw new ArgumentException("a picture is [S, S, 3] bytes and becomes [3, S, S] floats");
        }
    }
}
