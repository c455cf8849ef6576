using CrossAlign.Runtime;

namespace CrossAlign.Models.Evaluation;

/// <summary>Measures of how vectors of one or two languages lie on the sphere. Rows are brought to unit length first.</summary>
public static class EmbeddingGeometry
{
    private const int EntropyBins = 30;

    /// <summary>
    /// Pearson correlation of the strict upper triangles of two languages' cosine Gram matrices: do both languages place the same
    /// items at the same distances from each other?
    /// </summary>
    /// <param name="a">(n, E) vectors.</param>
    /// <param name="b">(n, E') vectors of the same items.</param>
    /// <param name="maxRows">More rows than this are sampled.</param>
    /// <param name="seed">Seed of that sample.</param>
    /// <param name="device">The processor to compute on; a temporary one where null.</param>
    /// <returns>The correlation; NaN where a triangle is constant or there are fewer than 3 rows.</returns>
    /// <exception cref="ArgumentException">The numbers of rows differ.</exception>
    public static double GramCorrelation(EmbeddingMatrix a, EmbeddingMatrix b, int maxRows = 2000, ulong seed = 0, CpuDevice? device = null)
    {
        CheckPairs(a, b);
        if (a.Rows > maxRows)
        {
            int[] rows = SeededSample.Of(a.Rows, maxRows, seed);
            (a, b) = (a.Select(rows), b.Select(rows));
        }

        // Row i of both Gram matrices is needed at once: a's is kept, b's is streamed.
        int n = a.Rows;
        float[] gram = new float[(long)n * n];
        SimilarityTiles.ForEachRow(a.Normalized(), a.Normalized(), device, (i, row) => row.CopyTo(gram.AsSpan(i * n)));
        double[][] sums = new double[n][];
        SimilarityTiles.ForEachRow(b.Normalized(), b.Normalized(), device, (i, row) =>
        {
            double[] s = new double[5];
            for (int j = i + 1; j < n; j++)
            {
                double x = gram[(i * n) + j];
                double y = row[j];
                s[0] += x;
                s[1] += y;
                s[2] += x * x;
                s[3] += y * y;
                s[4] += x * y;
            }

            sums[i] = s;
        });

        double count = n * (n - 1.0) / 2;
        double[] total = new double[5];
        foreach (double[] s in sums)
        {
            for (int k = 0; k < total.Length; k++)
            {
                total[k] += s[k];
            }
        }

        double covariance = total[4] - (total[0] * total[1] / count);
        double varianceX = total[2] - (total[0] * total[0] / count);
        double varianceY = total[3] - (total[1] * total[1] / count);
        return n < 3 ? double.NaN : covariance / Math.Sqrt(varianceX * varianceY);
    }

    /// <summary>Share of entries of the unit rows with |u| below a threshold (the report's "PoZ").</summary>
    /// <param name="x">(n, E) vectors.</param>
    /// <param name="threshold">The threshold.</param>
    /// <returns>A fraction of 1; NaN for no rows. Isotropic vectors of width 512 give 0.0181.</returns>
    public static double ProportionNearZero(EmbeddingMatrix x, double threshold = 1e-3)
    {
        ArgumentNullException.ThrowIfNull(x);
        EmbeddingMatrix unit = x.Normalized();
        long near = 0;
        foreach (float u in unit.Values)
        {
            near += Math.Abs(u) < threshold ? 1 : 0;
        }

        return (double)near / unit.Values.Length;
    }

    /// <summary>
    /// Entropy of the values of a dimension over 30 equal bins of [-1, 1], in nats, mean over dimensions (unit rows).
    /// </summary>
    /// <param name="x">(n, E) vectors.</param>
    /// <returns>0 to ln 30; NaN for no rows. Isotropic vectors of width 512 give 1.095.</returns>
    public static double Entropy(EmbeddingMatrix x)
    {
        ArgumentNullException.ThrowIfNull(x);
        EmbeddingMatrix unit = x.Normalized();
        if (unit.Rows == 0)
        {
            return double.NaN;
        }

        int[] counts = new int[unit.Columns * EntropyBins];
        for (int i = 0; i < unit.Rows; i++)
        {
            ReadOnlySpan<float> row = unit.Row(i);
            for (int d = 0; d < row.Length; d++)
            {
                int bin = (int)Math.Floor((row[d] + 1.0) * (EntropyBins / 2.0));
                counts[(d * EntropyBins) + Math.Clamp(bin, 0, EntropyBins - 1)]++;
            }
        }

        double sum = 0;
        foreach (int count in counts)
        {
            double p = (double)count / unit.Rows;
            sum -= p == 0 ? 0 : p * Math.Log(p);
        }

        return sum / unit.Columns;
    }

    /// <summary>Mean cosine over all pairs i &lt; j: 0 for isotropic vectors, 1 where all point the same way.</summary>
    /// <param name="x">(n, E) vectors.</param>
    /// <returns>The mean; NaN for fewer than 2 rows.</returns>
    public static double MeanPairwiseCosine(EmbeddingMatrix x)
    {
        ArgumentNullException.ThrowIfNull(x);
        EmbeddingMatrix unit = x.Normalized();

        // The pairs' sum is (||sum of rows||^2 - sum of ||row||^2) / 2: no pair is formed.
        double rows = 0;
        foreach (float u in unit.Values)
        {
            rows += (double)u * u;
        }

        double total = 0;
        foreach (double mean in unit.Mean())
        {
            total += mean * unit.Rows * (mean * unit.Rows);
        }

        return unit.Rows < 2 ? double.NaN : (total - rows) / (unit.Rows * (unit.Rows - 1.0));
    }

    /// <summary>Mean squared distance of translation pairs on the sphere (Wang and Isola 2020).</summary>
    /// <param name="a">(n, E) vectors.</param>
    /// <param name="b">(n, E) vectors of the same items.</param>
    /// <returns>0 to 4; NaN for no rows.</returns>
    /// <exception cref="ArgumentException">The sizes differ.</exception>
    public static double Alignment(EmbeddingMatrix a, EmbeddingMatrix b)
    {
        CheckPairs(a, b);
        CheckWidths(a, b);
        ReadOnlySpan<float> x = a.Normalized().Values;
        ReadOnlySpan<float> y = b.Normalized().Values;
        double sum = 0;
        for (int i = 0; i < x.Length; i++)
        {
            double difference = (double)x[i] - y[i];
            sum += difference * difference;
        }

        return sum / a.Rows;
    }

    /// <summary>ln of the mean over pairs i &lt; j of exp(-2 ||ui - uj||^2) (Wang and Isola 2020): smaller is more even.</summary>
    /// <param name="x">(n, E) vectors.</param>
    /// <param name="device">The processor to compute on; a temporary one where null.</param>
    /// <returns>-8 to 0; NaN for fewer than 2 rows.</returns>
    public static double Uniformity(EmbeddingMatrix x, CpuDevice? device = null)
    {
        ArgumentNullException.ThrowIfNull(x);
        EmbeddingMatrix unit = x.Normalized();
        double[] sums = new double[unit.Rows];
        SimilarityTiles.ForEachRow(unit, unit, device, (i, row) =>
        {
            double sum = 0;
            for (int j = i + 1; j < row.Length; j++)
            {
                sum += Math.Exp((4.0 * row[j]) - 4);
            }

            sums[i] = sum;
        });
        return unit.Rows < 2 ? double.NaN : Math.Log(sums.Sum() / (unit.Rows * (unit.Rows - 1.0) / 2));
    }

    /// <summary>Euclidean distance of the means of the unit rows of two sides (Liang et al. 2022).</summary>
    /// <param name="a">(n, E) vectors.</param>
    /// <param name="b">(m, E) vectors.</param>
    /// <returns>0 to 2.</returns>
    /// <exception cref="ArgumentException">The widths differ.</exception>
    public static double ModalityGap(EmbeddingMatrix a, EmbeddingMatrix b)
    {
        CheckWidths(a, b);
        double[] x = a.Normalized().Mean();
        double[] y = b.Normalized().Mean();
        return Math.Sqrt(x.Zip(y, (p, q) => (p - q) * (p - q)).Sum());
    }

    /// <summary>Cosine of the means of the unit rows of two sides.</summary>
    /// <param name="a">(n, E) vectors.</param>
    /// <param name="b">(m, E) vectors.</param>
    /// <returns>-1 to 1; NaN where a mean is zero.</returns>
    /// <exception cref="ArgumentException">The widths differ.</exception>
    public static double CentroidCosine(EmbeddingMatrix a, EmbeddingMatrix b)
    {
        CheckWidths(a, b);
        double[] x = a.Normalized().Mean();
        double[] y = b.Normalized().Mean();
        return x.Zip(y, (p, q) => p * q).Sum() / Math.Sqrt(x.Sum(p => p * p) * y.Sum(q => q * q));
    }

    /// <summary>
    /// Mean over items of |A and B| / |A or B|, A and B the item's k nearest by cosine in each language, itself excluded.
    /// </summary>
    /// <param name="a">(n, E) vectors.</param>
    /// <param name="b">(n, E') vectors of the same items.</param>
    /// <param name="neighbours">k.</param>
    /// <param name="device">The processor to compute on; a temporary one where null.</param>
    /// <returns>A fraction of 1; NaN for fewer than 2 rows.</returns>
    /// <exception cref="ArgumentException">The numbers of rows differ.</exception>
    public static double NeighbourOverlap(EmbeddingMatrix a, EmbeddingMatrix b, int neighbours = 10, CpuDevice? device = null)
    {
        CheckPairs(a, b);
        int[][] inA = NearestNeighbours.Find(a, a, neighbours, excludeSelf: true, device);
        int[][] inB = NearestNeighbours.Find(b, b, neighbours, excludeSelf: true, device);
        double sum = 0;
        for (int i = 0; i < inA.Length; i++)
        {
            int both = inA[i].Intersect(inB[i]).Count();
            sum += (double)both / (inA[i].Length + inB[i].Length - both);
        }

        return a.Rows < 2 ? double.NaN : sum / a.Rows;
    }

    private static void CheckPairs(EmbeddingMatrix a, EmbeddingMatrix b)
    {
        ArgumentNullException.ThrowIfNull(a);
        ArgumentNullException.ThrowIfNull(b);
        if (a.Rows != b.Rows)
        {
            throw new ArgumentException($"{a.Rows} and {b.Rows} rows do not pair up.", nameof(b));
        }
    }

    private static void CheckWidths(EmbeddingMatrix a, EmbeddingMatrix b)
    {
        ArgumentNullException.ThrowIfNull(a);
        ArgumentNullException.ThrowIfNull(b);
        if (a.Columns != b.Columns)
        {
            throw new ArgumentException($"Vectors of width {a.Columns} and {b.Columns} cannot be compared.", nameof(b));
        }
    }
}
