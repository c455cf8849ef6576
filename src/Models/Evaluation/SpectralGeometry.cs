using MathNet.Numerics.LinearAlgebra;
using MathNet.Numerics.LinearAlgebra.Double;

namespace CrossAlign.Models.Evaluation;

/// <summary>Measures of the spectrum of the vectors: how many dimensions they use, and how evenly.</summary>
/// <remarks>
/// Squared singular values are the eigenvalues of the (E, E) Gram matrix, summed in double from float32 values: an absolute error of
/// 1e-16 of the largest, which no entropy notices.
/// </remarks>
public static class SpectralGeometry
{
    /// <summary>exp(entropy of p) of the singular values.</summary>
    /// <param name="x">(n, E) vectors, taken as they are.</param>
    /// <param name="kind">What p is.</param>
    /// <param name="centred">
    /// Whether the mean is subtracted first. The usual pairs: <see cref="EffectiveRankKind.Energy"/> centred,
    /// <see cref="EffectiveRankKind.RoyVetterli"/> not.
    /// </param>
    /// <returns>1 to E; NaN where all values are zero.</returns>
    public static double EffectiveRank(EmbeddingMatrix x, EffectiveRankKind kind, bool centred)
    {
        ArgumentNullException.ThrowIfNull(x);
        double[] eigenvalues = GramEigenvalues(x, centred);
        double[] weights = [.. eigenvalues.Select(e => kind == EffectiveRankKind.Energy ? e : Math.Sqrt(e))];
        double total = weights.Sum();
        double entropy = 0;
        foreach (double weight in weights)
        {
            double p = weight / total;
            entropy -= p == 0 ? 0 : p * Math.Log(p);
        }

        return Math.Exp(entropy);
    }

    /// <summary>IsoScore (Rudman et al. 2022, algorithm 1): 1 for an even spectrum, 0 where one dimension has it all.</summary>
    /// <param name="x">(n, E) vectors, taken as they are; E at least 2.</param>
    /// <returns>0 to 1; NaN where all rows are equal.</returns>
    /// <exception cref="ArgumentException">The vectors have one dimension.</exception>
    public static double IsoScore(EmbeddingMatrix x)
    {
        ArgumentNullException.ThrowIfNull(x);
        if (x.Columns < 2)
        {
            throw new ArgumentException("IsoScore needs at least two dimensions.", nameof(x));
        }

        // The scale of the covariance cancels in h, so the Gram matrix of the centred rows does.
        double d = x.Columns;
        double[] variances = GramEigenvalues(x, centred: true);
        double length = Math.Sqrt(variances.Sum(v => v * v));
        double distance = 0;
        foreach (double variance in variances)
        {
            double h = Math.Sqrt(d) * variance / length;
            distance += (h - 1) * (h - 1);
        }

        double delta = Math.Sqrt(distance) / Math.Sqrt(2 * (d - Math.Sqrt(d)));
        double root = d - (delta * delta * (d - Math.Sqrt(d)));
        double phi = root * root / (d * d);
        return ((d * phi) - 1) / (d - 1);
    }

    /// <summary>X^T Y.</summary>
    /// <param name="x">(n, E) values.</param>
    /// <param name="width">E.</param>
    /// <param name="y">(n, E') values.</param>
    /// <param name="height">E'.</param>
    /// <param name="rows">n.</param>
    /// <returns>(E, E') sums of products.</returns>
    internal static Matrix<double> CrossGram(double[] x, int width, double[] y, int height, int rows)
    {
        // A block of the result at a time that stays in the cache; each entry is summed over the rows in order, so that its bits do
        // not depend on threads.
        const int BlockColumns = 32;
        double[] sums = new double[width * height];
        Parallel.For(0, (width + BlockColumns - 1) / BlockColumns, block =>
        {
            int end = Math.Min(width, (block + 1) * BlockColumns);
            for (int i = 0; i < rows; i++)
            {
                ReadOnlySpan<double> row = y.AsSpan(i * height, height);
                for (int k = block * BlockColumns; k < end; k++)
                {
                    DoubleVectors.AddScaled(x[(i * width) + k], row, sums.AsSpan(k * height, height));
                }
            }
        });

        // Row-major (E, E') is column-major storage of the transpose.
        return new DenseMatrix(height, width, sums).Transpose();
    }

    /// <summary>The rows in double, brought to unit length there.</summary>
    /// <param name="x">(n, E) vectors; a row of zeros stays zero.</param>
    /// <returns>(n, E) values.</returns>
    internal static double[] UnitRows(EmbeddingMatrix x)
    {
        double[] values = ToDouble(x, null);
        for (int i = 0; i < x.Rows; i++)
        {
            Span<double> row = values.AsSpan(i * x.Columns, x.Columns);
            double length = Math.Sqrt(DoubleVectors.Dot(row, row));
            for (int j = 0; j < row.Length && length > 0; j++)
            {
                row[j] /= length;
            }
        }

        return values;
    }

    private static double[] GramEigenvalues(EmbeddingMatrix x, bool centred)
    {
        double[] values = ToDouble(x, centred ? x.Mean() : null);
        Matrix<double> gram = CrossGram(values, x.Columns, values, x.Columns, x.Rows);
        return [.. gram.Evd(Symmetricity.Symmetric).EigenValues.Select(e => Math.Max(e.Real, 0))];
    }

    /// <summary>The rows in double.</summary>
    /// <param name="x">(n, E) vectors.</param>
    /// <param name="mean">What to subtract from each row, or null.</param>
    /// <returns>(n, E) values.</returns>
    internal static double[] ToDouble(EmbeddingMatrix x, double[]? mean)
    {
        double[] values = new double[x.Values.Length];
        for (int i = 0; i < values.Length; i++)
        {
            values[i] = x.Values[i] - (mean is null ? 0 : mean[i % x.Columns]);
        }

        return values;
    }
}
