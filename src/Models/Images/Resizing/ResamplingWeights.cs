namespace CrossAlign.Models.Images.Resizing;

/// <summary>Which old samples make up each new one along a side, with weights in fixed point, as Pillow computes them.</summary>
internal sealed class ResamplingWeights
{
    /// <summary>Fraction bits of a weight: 32 less 8 of a level, less 2 so that negative lobes do not overflow.</summary>
    public const int FractionBits = 22;

    private readonly int[] _starts;
    private readonly int[] _offsets;
    private readonly int[] _weights;

    private ResamplingWeights(int[] starts, int[] offsets, int[] weights)
    {
        _starts = starts;
        _offsets = offsets;
        _weights = weights;
    }

    /// <summary>How many new samples there are.</summary>
    public int Count => _starts.Length;

    /// <summary>The first old sample that is read.</summary>
    public int FirstSource => _starts[0];

    /// <summary>Behind the last old sample that is read.</summary>
    public int LastSource => _starts[^1] + Taps(Count - 1).Length;

    /// <summary>Computes the weights of a side.</summary>
    /// <param name="axis">The side.</param>
    /// <param name="filter">Any filter but nearest.</param>
    /// <returns>The weights; a side whose length stays passes its samples on.</returns>
    public static ResamplingWeights Create(ResamplingAxis axis, ResizeFilter filter)
    {
        int[] starts = new int[axis.Count];
        int[] offsets = new int[axis.Count + 1];
        if (axis.From == axis.To)
        {
            int[] ones = new int[axis.Count];
            Array.Fill(ones, 1 << FractionBits);
            for (int i = 0; i < axis.Count; i++)
            {
                (starts[i], offsets[i + 1]) = (axis.First + i, i + 1);
            }

            return new(starts, offsets, ones);
        }

        double scale = (double)axis.From / axis.To;
        double stretch = Math.Max(scale, 1);
        double reach = Support(filter) * stretch;
        List<int> weights = [];
        double[] raw = new double[(2 * (int)Math.Ceiling(reach)) + 1];
        for (int i = 0; i < axis.Count; i++)
        {
            double centre = (axis.First + i + 0.5) * scale;
            int start = Math.Max(0, (int)(centre - reach + 0.5));
            int end = Math.Min(axis.From, (int)(centre + reach + 0.5));
            double sum = 0;
            for (int k = start; k < end; k++)
            {
                double weight = Kernel(filter, (k - centre + 0.5) * (1 / stretch));
                raw[k - start] = weight;
                sum += weight;
            }

            foreach (double weight in raw.AsSpan(0, end - start))
            {
                double unit = sum != 0 ? weight / sum : weight;
                weights.Add((int)((unit < 0 ? -0.5 : 0.5) + (unit * (1 << FractionBits))));
            }

            (starts[i], offsets[i + 1]) = (start, weights.Count);
        }

        return new(starts, offsets, [.. weights]);
    }

    /// <summary>The first old sample of a new one.</summary>
    public int Start(int index) => _starts[index];

    /// <summary>The weights of a new sample's old ones.</summary>
    public ReadOnlySpan<int> Taps(int index) => _weights.AsSpan(_offsets[index].._offsets[index + 1]);

    /// <summary>The same weights for a side whose first samples were cut off.</summary>
    /// <param name="cut">How many.</param>
    public ResamplingWeights Shifted(int cut) => cut == 0 ? this : new([.. _starts.Select(s => s - cut)], _offsets, _weights);

    private static double Support(ResizeFilter filter) => filter switch
    {
        ResizeFilter.Box => 0.5,
        ResizeFilter.Bilinear or ResizeFilter.Hamming => 1,
        ResizeFilter.Bicubic => 2,
        _ => 3,
    };

    private static double Kernel(ResizeFilter filter, double x)
    {
        switch (filter)
        {
            case ResizeFilter.Box:
                return x is > -0.5 and <= 0.5 ? 1 : 0;
            case ResizeFilter.Bilinear:
                return Math.Max(0, 1 - Math.Abs(x));
            case ResizeFilter.Hamming:
                x = Math.Abs(x);
                return x == 0 ? 1 : x >= 1 ? 0 : Sinc(x) * (0.54 + (0.46 * Math.Cos(x * Math.PI)));
            case ResizeFilter.Bicubic:
                const double A = -0.5;
                x = Math.Abs(x);
                return x < 1 ? ((((A + 2) * x) - (A + 3)) * x * x) + 1
                    : x < 2 ? ((((x - 5) * x) + 8) * x - 4) * A
                    : 0;
            default:
                return x is >= -3 and < 3 ? Sinc(x) * Sinc(x / 3) : 0;
        }
    }

    private static double Sinc(double x)
    {
        if (x == 0)
        {
            return 1;
        }

        x *= Math.PI;
        return Math.Sin(x) / x;
    }
}
