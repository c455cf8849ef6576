namespace CrossAlign.Models.Images.Jpeg;

/// <summary>
/// The inverse cosine transform in integers, of Loeffler, Ligtenberg and Moschytz (1989), with the constants, the 13 fraction bits and
/// the roundings of libjpeg's "islow" method, so that the samples are the same.
/// </summary>
internal static class JpegInverseTransform
{
    private const int FractionBits = 13;
    private const int ExtraBits = 2;

    /// <summary>Transforms a block.</summary>
    /// <param name="block">The coefficients, natural order.</param>
    /// <param name="quantization">Their steps.</param>
    /// <param name="samples">Where the block's first sample goes.</param>
    /// <param name="stride">Samples from a row to the next.</param>
    public static void Run(ReadOnlySpan<short> block, ReadOnlySpan<ushort> quantization, Span<byte> samples, int stride)
    {
        Span<int> work = stackalloc int[64];
        for (int i = 0; i < 64; i++)
        {
            work[i] = block[i] * quantization[i];
        }

        for (int x = 0; x < 8; x++)
        {
            Transform(work[x..], 8, FractionBits - ExtraBits);
        }

        for (int y = 0; y < 8; y++)
        {
            Span<int> row = work.Slice(8 * y, 8);
            Transform(row, 1, FractionBits + ExtraBits + 3);
            Span<byte> to = samples.Slice(y * stride, 8);
            for (int x = 0; x < 8; x++)
            {
                to[x] = (byte)Math.Clamp(row[x] + 128, 0, 255);
            }
        }
    }

    private static void Transform(Span<int> d, int step, int shift)
    {
        int z1 = (d[2 * step] + d[6 * step]) * 4433;
        int even2 = z1 - (d[6 * step] * 15137);
        int even3 = z1 + (d[2 * step] * 6270);
        int even0 = (d[0] + d[4 * step]) << FractionBits;
        int even1 = (d[0] - d[4 * step]) << FractionBits;
        int round = 1 << (shift - 1);
        (int a0, int a3) = (even0 + even3 + round, even0 - even3 + round);
        (int a1, int a2) = (even1 + even2 + round, even1 - even2 + round);

        (int o0, int o1, int o2, int o3) = (d[7 * step], d[5 * step], d[3 * step], d[step]);
        int z5 = (o0 + o2 + o1 + o3) * 9633;
        z1 = (o0 + o3) * -7373;
        int z2 = (o1 + o2) * -20995;
        int z3 = ((o0 + o2) * -16069) + z5;
        int z4 = ((o1 + o3) * -3196) + z5;
        int b0 = (o0 * 2446) + z1 + z3;
        int b1 = (o1 * 16819) + z2 + z4;
        int b2 = (o2 * 25172) + z2 + z3;
        int b3 = (o3 * 12299) + z1 + z4;

        (d[0], d[7 * step]) = ((a0 + b3) >> shift, (a0 - b3) >> shift);
        (d[step], d[6 * step]) = ((a1 + b2) >> shift, (a1 - b2) >> shift);
        (d[2 * step], d[5 * step]) = ((a2 + b1) >> shift, (a2 - b1) >> shift);
        (d[3 * step], d[4 * step]) = ((a3 + b0) >> shift, (a3 - b0) >> shift);
    }
}
