using CrossAlign.Models.Data;

namespace CrossAlign.Models.Tests.Data;

public class PictureAugmentationTests
{
    private const int Size = 32;

    [Fact]
    public void Without_strength_the_picture_is_only_normalised()
    {
        byte[] rgb = new byte[3 * Size * Size];
        rgb[0] = 255;
        rgb[4] = 51;
        float[] pixels = new float[rgb.Length];
        new PictureAugmentation(Size, PictureNormalization.Scratch).Apply(rgb, 0, 1, 2, 3, pixels);
        Assert.Equal((1 - 0.75f) / 0.35f, pixels[0], 1e-6f);
        Assert.Equal((0.2f - 0.75f) / 0.35f, pixels[(Size * Size) + 1], 1e-6f);
        Assert.Equal(-0.75f / 0.35f, pixels[5], 1e-6f);
    }

    /// <summary>Rotation, shift and scale look into the white around a picture and find white: a white picture stays of one colour.</summary>
    [Fact]
    public void Around_a_picture_lies_white()
    {
        byte[] rgb = new byte[3 * Size * Size];
        Array.Fill(rgb, (byte)255);
        float[] pixels = new float[rgb.Length];
        PictureAugmentation augmentation = new(Size, PictureNormalization.Scratch);
        for (int step = 0; step < 50; step++)
        {
            augmentation.Apply(rgb, 1, 1, step, 0, pixels);
            for (int channel = 0; channel < 3; channel++)
            {
                float[] plane = pixels[(channel * Size * Size)..((channel + 1) * Size * Size)];
                Assert.InRange(plane.Max() - plane.Min(), 0, 1e-5f);
            }
        }
    }

    /// <summary>A plain double-precision transcription of the same transformation, pixel by pixel.</summary>
    [Fact]
    public void It_matches_a_transcription_in_double()
    {
        byte[] rgb = Noise();
        float[] pixels = new float[rgb.Length];
        PictureAugmentation augmentation = new(Size, PictureNormalization.Scratch);
        for (int step = 0; step < 25; step++)
        {
            augmentation.Apply(rgb, 0.8f, 5, step, 9, pixels);
            double[] expected = Transcription(rgb, 0.8, 5, step, 9);
            for (int i = 0; i < pixels.Length; i++)
            {
                Assert.True(Math.Abs(pixels[i] - expected[i]) < 2e-4, $"step {step}, value {i}: {pixels[i]} instead of {expected[i]}");
            }
        }
    }

    [Fact]
    public void Draws_stay_within_the_ranges_and_grey_comes_once_in_ten()
    {
        byte[] rgb = new byte[3 * Size * Size];
        for (int i = 0; i < rgb.Length; i += 3)
        {
            rgb[i] = 200;
            rgb[i + 2] = 40;
        }

        float[] pixels = new float[rgb.Length];
        PictureAugmentation augmentation = new(Size, PictureNormalization.Scratch);
        int centre = ((Size / 2) * Size) + (Size / 2);
        int grey = 0;
        for (int item = 0; item < 2000; item++)
        {
            augmentation.Apply(rgb, 0.3f, 1, 0, item, pixels);
            float red = (pixels[centre] * 0.35f) + 0.75f;
            float blue = (pixels[(2 * Size * Size) + centre] * 0.35f) + 0.75f;
            grey += red - blue < 0.2f ? 1 : 0;
            Assert.InRange(red, 0.2f, 0.9f);
        }

        Assert.InRange(grey, 150, 250);
    }

    [Fact]
    public void The_same_names_give_the_same_pixels_and_others_do_not()
    {
        byte[] rgb = Noise();
        float[] first = new float[rgb.Length];
        float[] second = new float[rgb.Length];
        new PictureAugmentation(Size, PictureNormalization.Scratch).Apply(rgb, 0.3f, 1, 10, 3, first);
        PictureAugmentation used = new(Size, PictureNormalization.Scratch);
        used.Apply(rgb, 0.3f, 1, 9, 3, second);
        Assert.NotEqual(first, second);
        used.Apply(rgb, 0.3f, 1, 10, 4, second);
        Assert.NotEqual(first, second);
        used.Apply(rgb, 0.3f, 1, 10, 3, second);
        Assert.Equal(first, second);
    }

    [Fact]
    public void It_allocates_nothing()
    {
        byte[] rgb = Noise();
        float[] pixels = new float[rgb.Length];
        PictureAugmentation augmentation = new(Size, PictureNormalization.Scratch);
        augmentation.Apply(rgb, 0.3f, 1, 0, 0, pixels);
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int step = 0; step < 100; step++)
        {
            augmentation.Apply(rgb, 0.3f, 1, step, 0, pixels);
        }

        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
    }

    [Fact]
    public void Spans_of_another_length_are_refused()
    {
        PictureAugmentation augmentation = new(Size, PictureNormalization.Scratch);
        Assert.Throws<ArgumentException>(() => augmentation.Apply(new byte[10], 0.3f, 1, 0, 0, new float[3 * Size * Size]));
    }

    private static byte[] Noise()
    {
        CrossAlign.Runtime.CounterRandom random = new(3, 3, 3);
        byte[] rgb = new byte[3 * Size * Size];
        for (int i = 0; i < rgb.Length; i++)
        {
            rgb[i] = (byte)random.Next(256);
        }

        return rgb;
    }

    private static double[] Transcription(byte[] rgb, double k, ulong seed, int step, int item)
    {
        CrossAlign.Runtime.CounterRandom random = new(seed, 0xA06, (uint)item, (uint)step);
        double Draw(double low, double high) => low + ((high - low) * random.NextSingle());
        double scale = Draw(1 - (0.1 * k), 1 + (0.15 * k));
        double angle = Draw(-0.15 * k, 0.15 * k);
        double shiftX = Draw(-0.1 * k, 0.1 * k) * Size / 2;
        double shiftY = Draw(-0.1 * k, 0.1 * k) * Size / 2;
        double[] contrast = [Draw(1 - (0.25 * k), 1 + (0.25 * k)), Draw(1 - (0.25 * k), 1 + (0.25 * k)), Draw(1 - (0.25 * k), 1 + (0.25 * k))];
        double brightness = Draw(1 - (0.15 * k), 1 + (0.1 * k));
        bool grey = random.NextSingle() < 0.1f;
        double[] result = new double[rgb.Length];
        for (int channel = 0; channel < 3; channel++)
        {
            for (int y = 0; y < Size; y++)
            {
                for (int x = 0; x < Size; x++)
                {
                    double px = x + 0.5 - (Size / 2.0) - shiftX;
                    double py = y + 0.5 - (Size / 2.0) - shiftY;
                    double sx = (((px * Math.Cos(angle)) + (py * Math.Sin(angle))) / scale) + (Size / 2.0) - 0.5;
                    double sy = (((py * Math.Cos(angle)) - (px * Math.Sin(angle))) / scale) + (Size / 2.0) - 0.5;
                    int left = (int)Math.Floor(sx);
                    int top = (int)Math.Floor(sy);
                    double fx = sx - left;
                    double fy = sy - top;
                    double value = ((1 - fy) * (((1 - fx) * At(left, top)) + (fx * At(left + 1, top)))) + (fy * (((1 - fx) * At(left, top + 1)) + (fx * At(left + 1, top + 1))));
                    value = (0.5 + ((value - 0.5) * contrast[channel])) * brightness;
                    result[(channel * Size * Size) + (y * Size) + x] = (value - 0.75) / 0.35;
                }
            }

            double At(int x, int y)
            {
                if (x < 0 || y < 0 || x >= Size || y >= Size)
                {
                    return 1;
                }

                ReadOnlySpan<byte> pixel = rgb.AsSpan(3 * ((y * Size) + x), 3);
                return grey ? ((0.299 * pixel[0]) + (0.587 * pixel[1]) + (0.114 * pixel[2])) / 255 : pixel[channel] / 255.0;
            }
        }

        return result;
    }
}
