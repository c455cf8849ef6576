using MathNet.Numerics.LinearAlgebra.Factorization;

namespace CrossAlign.Models.Evaluation;

/// <summary>The orthogonal map that brings one set of unit rows closest to another: W = U V^T of svd(X^T Y) (Schoenemann 1966).</summary>
public sealed class Procrustes
{
    private readonly double[,] _map;

    private Procrustes(double[,] map, double[] singularValues, double residual)
    {
        _map = map;
        SingularValues = singularValues;
        Residual = residual;
    }

    /// <summary>The singular values of X^T Y, largest first; their sum is what the map maximises.</summary>
    public IReadOnlyList<double> SingularValues { get; }

    /// <summary>||X W - Y||^2 over the rows that the map was learned on.</summary>
    public double Residual { get; }

    /// <summary>Learns the map from pairs of rows, brought to unit length first.</summary>
    /// <param name="x">(n, E) vectors.</param>
    /// <param name="y">(n, E) vectors of the same items.</param>
    /// <returns>The map.</returns>
    /// <exception cref="ArgumentException">The sizes differ.</exception>
    public static Procrustes Fit(EmbeddingMatrix x, EmbeddingMatrix y)
    {
        ArgumentNullException.ThrowIfNull(x);
        ArgumentNullException.ThrowIfNull(y);
        if (x.Rows != y.Rows || x.Columns != y.Columns)
        {
            throw new ArgumentException(
                $"{x.Rows} x {x.Columns} and {y.Rows} x {y.Columns} vectors do not pair up.", nameof(y));
        }

        double[] a = SpectralGeometry.UnitRows(x);
        double[] b = SpectralGeometry.UnitRows(y);
        Svd<double> svd = SpectralGeometry.CrossGram(a, x.Columns, b, y.Columns, x.Rows).Svd(computeVectors: true);
        double[,] map = (svd.U * svd.VT).ToArray();
        double[] singularValues = [.. svd.S];

        // ||XW - Y||^2 = ||X||^2 + ||Y||^2 - 2 trace(W^T X^T Y), and the trace is the sum of the singular values.
        double residual = DoubleVectors.Dot(a, a) + DoubleVectors.Dot(b, b) - (2 * singularValues.Sum());
        return new Procrustes(map, singularValues, residual);
    }

    /// <summary>Moves rows: unit length, then x W.</summary>
    /// <param name="x">(m, E) vectors.</param>
    /// <returns>(m, E) vectors.</returns>
    /// <exception cref="ArgumentException">The width differs.</exception>
    public EmbeddingMatrix Apply(EmbeddingMatrix x)
    {
        ArgumentNullException.ThrowIfNull(x);
        return x.Normalized().Times(_map);
    }

    /// <summary>The orthogonal matrix W, applied to rows from the right.</summary>
    /// <returns>A copy, (E, E).</returns>
    public double[,] Map() => (double[,])_map.Clone();
}
