using System.Numerics;

namespace CrossAlign.Reference;

/// <summary>
/// Patch embedding, <c>z = [class; W x_1 + b; ...; W x_L + b] + position</c> (Dosovitskiy et al. 2021, equation 1), by plain loops over
/// the pixels. In double the reference; in float the naive twin whose error sets the budget.
/// </summary>
public static class PatchEmbeddingReference
{
    public static T[] Forward<T>(Pictures shape, T[] pixels, T[] weight, T[] bias, T[] classToken, T[] position)
        where T : IFloatingPointIeee754<T>
    {
        T[] output = new T[shape.B * (1 + shape.L) * shape.C];
        for (int b = 0; b < shape.B; b++)
        {
            for (int t = 0; t <= shape.L; t++)
            {
                for (int c = 0; c < shape.C; c++)
                {
                    T sum = T.Zero;
                    for (int i = 0; t > 0 && i < shape.PatchPixels; i++)
                    {
                        sum += weight[(c * shape.PatchPixels) + i] * pixels[shape.Pixel(b, t - 1, i)];
                    }

                    T value = t == 0 ? classToken[c] : bias.Length == 0 ? sum : sum + bias[c];
                    output[(((b * (1 + shape.L)) + t) * shape.C) + c] = value + position[(t * shape.C) + c];
                }
            }
        }

        return output;
    }

    public static (T[] DWeight, T[] DBias, T[] DClassToken, T[] DPosition) Backward<T>(Pictures shape, T[] dOutput, T[] pixels)
        where T : IFloatingPointIeee754<T>
    {
        T[] dWeight = new T[shape.C * shape.PatchPixels];
        T[] dBias = new T[shape.C];
        T[] dClassToken = new T[shape.C];
        T[] dPosition = new T[(1 + shape.L) * shape.C];
        for (int b = 0; b < shape.B; b++)
        {
            for (int t = 0; t <= shape.L; t++)
            {
                for (int c = 0; c < shape.C; c++)
                {
                    T g = dOutput[(((b * (1 + shape.L)) + t) * shape.C) + c];
                    dPosition[(t * shape.C) + c] += g;
                    if (t == 0)
                    {
                        dClassToken[c] += g;
                        continue;
                    }

                    dBias[c] += g;
                    for (int i = 0; i < shape.PatchPixels; i++)
                    {
                        dWeight[(c * shape.PatchPixels) + i] += g * pixels[shape.Pixel(b, t - 1, i)];
                    }
                }
            }
        }

        return (dWeight, dBias, dClassToken, dPosition);
    }

    /// <summary>B pictures of 3 x H x W pixels, patches of P x P, C channels.</summary>
    public sealed record Pictures(int B, int H, int W, int P, int C)
    {
        public int L => H / P * (W / P);

        public int PatchPixels => 3 * P * P;

        /// <summary>Where pixel i (channel, row, column) of a patch lies in (B, 3, H, W).</summary>
        public int Pixel(int b, int patch, int i)
        {
            int channel = i / (P * P);
            int y = (patch / (W / P) * P) + (i / P % P);
            int x = (patch % (W / P) * P) + (i % P);
            return (((((b * 3) + channel) * H) + y) * W) + x;
        }
    }
}
