namespace CrossAlign.Models.Evaluation;

/// <summary>Vectors of one width as float32 rows, row-major, on the host: what every measure of this folder takes.</summary>
/// <remarks>Immutable: <see cref="Normalized"/>, <see cref="Centred"/> and <see cref="Select"/> give new matrices.</remarks>
public sealed class EmbeddingMatrix
{
    private readonly float[] _values;

    /// <summary>Copies rows from memory.</summary>
    /// <param name="values">(<paramref name="rows"/>, <paramref name="columns"/>) values, row-major.</param>
    /// <param name="rows">Number of vectors; 0 is allowed.</param>
    /// <param name="columns">Width of a vector, at least 1.</param>
    /// <exception cref="ArgumentOutOfRangeException">A number is negative, or the width is 0.</exception>
    /// <exception cref="ArgumentException">The number of values is not rows times columns.</exception>
    public EmbeddingMatrix(ReadOnlySpan<float> values, int rows, int columns)
        : this(values.ToArray(), rows, columns)
    {
    }

    private EmbeddingMatrix(float[] values, int rows, int columns)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(rows);
        ArgumentOutOfRangeException.ThrowIfLessThan(columns, 1);
        if (values.Length != (long)rows * columns)
        {
            throw new ArgumentException($"{values.Length} values are not {rows} rows of {columns}.", nameof(values));
        }

        _values = values;
        Rows = rows;
        Columns = columns;
    }

    /// <summary>The number of vectors.</summary>
    public int Rows { get; }

    /// <summary>The width of a vector.</summary>
    public int Columns { get; }

    /// <summary>All values, row-major.</summary>
    public ReadOnlySpan<float> Values => _values;

    /// <summary>One vector.</summary>
    /// <param name="index">Its row.</param>
    /// <returns>A view of <see cref="Columns"/> values.</returns>
    /// <exception cref="ArgumentOutOfRangeException">There is no such row.</exception>
    public ReadOnlySpan<float> Row(int index)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(index);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(index, Rows);
        return _values.AsSpan(index * Columns, Columns);
    }

    /// <summary>The rows named, in that order; a row may be named twice.</summary>
    /// <param name="rows">Row numbers.</param>
    /// <returns>A new matrix.</returns>
    /// <exception cref="ArgumentOutOfRangeException">There is no such row.</exception>
    public EmbeddingMatrix Select(ReadOnlySpan<int> rows)
    {
        float[] values = new float[rows.Length * Columns];
        for (int i = 0; i < rows.Length; i++)
        {
            Row(rows[i]).CopyTo(values.AsSpan(i * Columns));
        }

        return new EmbeddingMatrix(values, rows.Length, Columns);
    }

    /// <summary>The rows at unit length (norms in double). A row of zeros stays zero.</summary>
    /// <returns>A new matrix.</returns>
    public EmbeddingMatrix Normalized()
    {
        float[] values = new float[_values.Length];
        for (int i = 0; i < Rows; i++)
        {
            ReadOnlySpan<float> row = Row(i);
            double sum = 0;
            foreach (float x in row)
            {
                sum += (double)x * x;
            }

            double scale = sum == 0 ? 0 : 1 / Math.Sqrt(sum);
            Span<float> output = values.AsSpan(i * Columns, Columns);
            for (int j = 0; j < output.Length; j++)
            {
                output[j] = (float)(row[j] * scale);
            }
        }

        return new EmbeddingMatrix(values, Rows, Columns);
    }

    /// <summary>The mean of the rows, in double; zeros where there is no row.</summary>
    /// <returns><see cref="Columns"/> values.</returns>
    public double[] Mean()
    {
        double[] mean = new double[Columns];
        for (int i = 0; i < Rows; i++)
        {
            ReadOnlySpan<float> row = Row(i);
            for (int j = 0; j < mean.Length; j++)
            {
                mean[j] += row[j];
            }
        }

        for (int j = 0; j < mean.Length && Rows > 0; j++)
        {
            mean[j] /= Rows;
        }

        return mean;
    }

    /// <summary>The rows less their mean.</summary>
    /// <returns>A new matrix.</returns>
    public EmbeddingMatrix Centred()
    {
        double[] mean = Mean();
        float[] values = new float[_values.Length];
        for (int i = 0; i < values.Length; i++)
        {
            values[i] = (float)(_values[i] - mean[i % Columns]);
        }

        return new EmbeddingMatrix(values, Rows, Columns);
    }

    /// <summary>The rows times a matrix: x W.</summary>
    /// <param name="map">(<see cref="Columns"/>, n) matrix in double, row-major.</param>
    /// <returns>A new matrix of n columns; sums in double.</returns>
    /// <exception cref="ArgumentException"><paramref name="map"/> does not have <see cref="Columns"/> rows.</exception>
    public EmbeddingMatrix Times(double[,] map)
    {
        ArgumentNullException.ThrowIfNull(map);
        if (map.GetLength(0) != Columns)
        {
            throw new ArgumentException($"A map of {map.GetLength(0)} rows cannot take vectors of {Columns}.", nameof(map));
        }

        int width = map.GetLength(1);
        float[] values = new float[(long)Rows * width];
        double[] sums = new double[width];
        for (int i = 0; i < Rows; i++)
        {
            Array.Clear(sums);
            ReadOnlySpan<float> row = Row(i);
            for (int k = 0; k < row.Length; k++)
            {
                double x = row[k];
                for (int j = 0; j < sums.Length; j++)
                {
                    sums[j] += x * map[k, j];
                }
            }

            for (int j = 0; j < sums.Length; j++)
            {
                values[(i * width) + j] = (float)sums[j];
            }
        }

        return new EmbeddingMatrix(values, Rows, width);
    }

    /// <summary>Takes an array over without copying it; the caller must not change it afterwards.</summary>
    /// <param name="values">(rows, columns) values.</param>
    /// <param name="rows">Number of vectors.</param>
    /// <param name="columns">Width of a vector.</param>
    /// <returns>The matrix.</returns>
    internal static EmbeddingMatrix Adopt(float[] values, int rows, int columns) => new(values, rows, columns);
}
