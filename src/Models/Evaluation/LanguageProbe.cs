using MathNet.Numerics.LinearAlgebra;

namespace CrossAlign.Models.Evaluation;

/// <summary>
/// Can a linear classifier tell which language a vector came from? Multinomial logistic regression on unit rows; it minimises the sum
/// of losses + 0.5 ||coefficients||^2 (intercepts free) with L-BFGS in double. Chance level means that languages are mixed.
/// </summary>
public sealed class LanguageProbe
{
    private readonly double[] _parameters;
    private readonly int _width;

    private LanguageProbe(double[] parameters, int classes, int width, double objective)
    {
        _parameters = parameters;
        Classes = classes;
        _width = width;
        Objective = objective;
    }

    /// <summary>The number of languages.</summary>
    public int Classes { get; }

    /// <summary>The minimum that was reached.</summary>
    public double Objective { get; }

    /// <summary>Trains on rows and their labels.</summary>
    /// <param name="x">(n, E) vectors; brought to unit length.</param>
    /// <param name="labels">A class from 0 for each row.</param>
    /// <param name="classes">The number of classes, at least 2.</param>
    /// <returns>The classifier.</returns>
    /// <exception cref="ArgumentException">There is not one label a row, or one is out of range.</exception>
    public static LanguageProbe Fit(EmbeddingMatrix x, IReadOnlyList<int> labels, int classes)
    {
        ArgumentNullException.ThrowIfNull(x);
        ArgumentNullException.ThrowIfNull(labels);
        ArgumentOutOfRangeException.ThrowIfLessThan(classes, 2);
        if (labels.Count != x.Rows || labels.Any(l => l < 0 || l >= classes))
        {
            throw new ArgumentException($"Every one of {x.Rows} rows needs a label from 0 to {classes - 1}.", nameof(labels));
        }

        double[] rows = UnitRowsWithOne(x);
        int width = x.Columns;
        double[] start = new double[classes * (width + 1)];
        (double[] parameters, double objective) = Lbfgs.Minimize(
            start, (p, gradient) => Evaluate(p, gradient, rows, labels, classes, width), gradientTolerance: 1e-6, maxIterations: 2000);
        return new LanguageProbe(parameters, classes, width, objective);
    }

    /// <summary>Trains on 70 % of each class's rows and tests on the rest.</summary>
    /// <param name="x">(n, E) vectors of all languages.</param>
    /// <param name="labels">A class from 0 for each row.</param>
    /// <param name="classes">The number of classes, at least 2.</param>
    /// <param name="seed">Seed of the stratified split.</param>
    /// <returns>Accuracy on the test rows.</returns>
    /// <exception cref="ArgumentException">There is not one label a row, one is out of range, or a class has fewer than 2 rows.</exception>
    public static double HeldOutAccuracy(EmbeddingMatrix x, IReadOnlyList<int> labels, int classes, ulong seed)
    {
        ArgumentNullException.ThrowIfNull(x);
        ArgumentNullException.ThrowIfNull(labels);
        List<int> train = [];
        List<int> test = [];
        foreach (IGrouping<int, int> rows in Enumerable.Range(0, labels.Count).GroupBy(i => labels[i]).OrderBy(g => g.Key))
        {
            int[] members = [.. rows];
            if (members.Length < 2)
            {
                throw new ArgumentException($"Class {rows.Key} has one row: it cannot be split.", nameof(labels));
            }

            int[] order = SeededSample.Permutation(members.Length, seed + ((ulong)rows.Key << 32));
            int testCount = Math.Clamp((int)Math.Round(members.Length * 0.3), 1, members.Length - 1);
            test.AddRange(order[..testCount].Select(i => members[i]));
            train.AddRange(order[testCount..].Select(i => members[i]));
        }

        LanguageProbe probe = Fit(x.Select([.. train]), [.. train.Select(i => labels[i])], classes);
        return probe.Accuracy(x.Select([.. test]), [.. test.Select(i => labels[i])]);
    }

    /// <summary>The most probable class of each row.</summary>
    /// <param name="x">(n, E) vectors; brought to unit length.</param>
    /// <returns>A class from 0 for each row.</returns>
    /// <exception cref="ArgumentException">The width differs from what the classifier was trained on.</exception>
    public int[] Predict(EmbeddingMatrix x)
    {
        ArgumentNullException.ThrowIfNull(x);
        if (x.Columns != _width)
        {
            throw new ArgumentException($"The classifier takes vectors of width {_width}, not {x.Columns}.", nameof(x));
        }

        double[] rows = UnitRowsWithOne(x);
        int[] predicted = new int[x.Rows];
        for (int i = 0; i < predicted.Length; i++)
        {
            double best = double.NegativeInfinity;
            for (int c = 0; c < Classes; c++)
            {
                double logit = Logit(_parameters, rows, i, c, _width);
                (best, predicted[i]) = logit > best ? (logit, c) : (best, predicted[i]);
            }
        }

        return predicted;
    }

    /// <summary>The share of rows that are classified rightly.</summary>
    /// <param name="x">(n, E) vectors.</param>
    /// <param name="labels">The right class of each row.</param>
    /// <returns>A fraction of 1; NaN for no rows.</returns>
    /// <exception cref="ArgumentException">There is not one label a row.</exception>
    public double Accuracy(EmbeddingMatrix x, IReadOnlyList<int> labels)
    {
        ArgumentNullException.ThrowIfNull(labels);
        int[] predicted = Predict(x);
        return predicted.Length == labels.Count
            ? (double)predicted.Where((p, i) => p == labels[i]).Count() / predicted.Length
            : throw new ArgumentException($"{labels.Count} labels for {predicted.Length} rows.", nameof(labels));
    }

    /// <summary>The coefficients, a row a class.</summary>
    /// <returns>A copy, (classes, E).</returns>
    public double[,] Coefficients() =>
        Matrix<double>.Build.Dense(Classes, _width, (c, d) => _parameters[(c * (_width + 1)) + d]).ToArray();

    // Rows end in a 1 that multiplies the intercept, so that one inner product gives a logit.
    private static double[] UnitRowsWithOne(EmbeddingMatrix x)
    {
        EmbeddingMatrix unit = x.Normalized();
        int stride = x.Columns + 1;
        double[] rows = new double[x.Rows * stride];
        for (int i = 0; i < x.Rows; i++)
        {
            ReadOnlySpan<float> row = unit.Row(i);
            for (int d = 0; d < row.Length; d++)
            {
                rows[(i * stride) + d] = row[d];
            }

            rows[(i * stride) + row.Length] = 1;
        }

        return rows;
    }

    private static double Logit(double[] parameters, double[] rows, int row, int c, int width) =>
        DoubleVectors.Dot(parameters.AsSpan(c * (width + 1), width + 1), rows.AsSpan(row * (width + 1), width + 1));

    private static double Evaluate(
        ReadOnlySpan<double> parameters, Span<double> gradient, double[] rows, IReadOnlyList<int> labels, int classes, int width)
    {
        int stride = width + 1;
        gradient.Clear();
        double loss = 0;
        Span<double> p = classes <= 256 ? stackalloc double[classes] : new double[classes];
        for (int i = 0; i < labels.Count; i++)
        {
            ReadOnlySpan<double> row = rows.AsSpan(i * stride, stride);
            double max = double.NegativeInfinity;
            for (int c = 0; c < classes; c++)
            {
                p[c] = DoubleVectors.Dot(parameters.Slice(c * stride, stride), row);
                max = Math.Max(max, p[c]);
            }

            double own = p[labels[i]];
            double sum = 0;
            for (int c = 0; c < classes; c++)
            {
                p[c] = Math.Exp(p[c] - max);
                sum += p[c];
            }

            loss += max + Math.Log(sum) - own;
            for (int c = 0; c < classes; c++)
            {
                DoubleVectors.AddScaled((p[c] / sum) - (c == labels[i] ? 1 : 0), row, gradient.Slice(c * stride, stride));
            }
        }

        for (int c = 0; c < classes; c++)
        {
            ReadOnlySpan<double> coefficients = parameters.Slice(c * stride, width);
            loss += 0.5 * DoubleVectors.Dot(coefficients, coefficients);
            DoubleVectors.AddScaled(1, coefficients, gradient.Slice(c * stride, width));
        }

        return loss;
    }
}
