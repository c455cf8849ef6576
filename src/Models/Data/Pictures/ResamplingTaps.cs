namespace CrossAlign.Models.Data.Pictures;

/// <summary>Which old samples make up each new one, along one side of a picture. Shrinking widens the kernel, so that nothing aliases.</summary>
internal static class ResamplingTaps
{
    /// <summary>Lanczos' kernel with three lobes: sharp, for drawings.</summary>
    internal static (int Start, float[] Weights)[] Lanczos(int from, int to) =>
        Make(from, to, 3, static x => x == 0 ? 1 : Math.Abs(x) >= 3 ? 0 : Sinc(x) * Sinc(x / 3));

    private static (int Start, float[] Weights)[] Make(int from, int to, double support, Func<double, double> kernel)
    {
        double scale = (double)from / to;
        double stretch = Math.Max(scale, 1);
        double reach = support * stretch;
        (int, float[])[] taps = new (int, float[])[to];
        for (int i = 0; i < to; i++)
        {
            double centre = (i + 0.5) * scale;
            int start = Math.Max(0, (int)(centre - reach + 0.5));
            int end = Math.Min(from, (int)(centre + reach + 0.5));
            double[] raw = new double[end - start];
            for (int k = 0; k < raw.Length; k++)
            {
                raw[k] = kernel((start + k + 0.5 - centre) / stretch);
            }

            double sum = raw.Sum();
            taps[i] = (start, Array.ConvertAll(raw, w => (float)(w / sum)));
        }

        return taps;
    }

    private static double Sinc(double x) => Math.Sin(Math.PI * x) / (Math.PI * x);
}
