namespace CrossAlign.Models.Evaluation;

/// <summary>
/// Minimises a smooth convex function with limited-memory BFGS (Nocedal and Wright, algorithm 7.4) and a backtracking line search.
/// </summary>
internal static class Lbfgs
{
    private const int Memory = 10;

    /// <summary>A function and its gradient.</summary>
    /// <param name="parameters">Where.</param>
    /// <param name="gradient">Overwritten.</param>
    /// <returns>The value.</returns>
    internal delegate double Function(ReadOnlySpan<double> parameters, Span<double> gradient);

    /// <summary>Minimises until the largest entry of the gradient is small enough or no step lowers the value any more.</summary>
    /// <param name="start">Where to start.</param>
    /// <param name="function">The function.</param>
    /// <param name="gradientTolerance">The largest entry of the gradient to stop at.</param>
    /// <param name="maxIterations">The most steps.</param>
    /// <returns>Where it stopped and the value there.</returns>
    internal static (double[] Parameters, double Value) Minimize(
        double[] start, Function function, double gradientTolerance, int maxIterations)
    {
        int n = start.Length;
        double[] x = (double[])start.Clone();
        double[] gradient = new double[n];
        double value = function(x, gradient);
        List<(double[] Step, double[] Change, double Curvature)> history = [];
        for (int iteration = 0; iteration < maxIterations && LargestEntry(gradient) > gradientTolerance; iteration++)
        {
            double[] direction = Direction(gradient, history);
            double slope = DoubleVectors.Dot(direction, gradient);
            double[] nextX = new double[n];
            double[] nextGradient = new double[n];
            double length = history.Count == 0 ? 1 / Math.Max(1, LargestEntry(gradient)) : 1;
            double next = double.PositiveInfinity;

            // Armijo's condition alone is enough on a convex function: pairs without curvature are dropped below.
            for (int attempt = 0; attempt < 50; attempt++, length /= 2)
            {
                x.CopyTo(nextX, 0);
                DoubleVectors.AddScaled(length, direction, nextX);
                next = function(nextX, nextGradient);
                if (next <= value + (1e-4 * length * slope))
                {
                    break;
                }
            }

            if (!(next < value))
            {
                break;
            }

            double[] step = [.. nextX.Zip(x, (a, b) => a - b)];
            double[] change = [.. nextGradient.Zip(gradient, (a, b) => a - b)];
            double curvature = DoubleVectors.Dot(step, change);
            if (curvature > 1e-12 * DoubleVectors.Dot(change, change))
            {
                history.Add((step, change, curvature));
                if (history.Count > Memory)
                {
                    history.RemoveAt(0);
                }
            }

            (x, gradient, value) = (nextX, nextGradient, next);
        }

        return (x, value);
    }

    private static double[] Direction(double[] gradient, List<(double[] Step, double[] Change, double Curvature)> history)
    {
        double[] direction = [.. gradient.Select(g => -g)];
        double[] factors = new double[history.Count];
        for (int k = history.Count - 1; k >= 0; k--)
        {
            factors[k] = DoubleVectors.Dot(history[k].Step, direction) / history[k].Curvature;
            DoubleVectors.AddScaled(-factors[k], history[k].Change, direction);
        }

        if (history.Count > 0)
        {
            (_, double[] change, double curvature) = history[^1];
            double scale = curvature / DoubleVectors.Dot(change, change);
            for (int i = 0; i < direction.Length; i++)
            {
                direction[i] *= scale;
            }
        }

        for (int k = 0; k < history.Count; k++)
        {
            double beta = DoubleVectors.Dot(history[k].Change, direction) / history[k].Curvature;
            DoubleVectors.AddScaled(factors[k] - beta, history[k].Step, direction);
        }

        return direction;
    }

    private static double LargestEntry(double[] values)
    {
        double largest = 0;
        foreach (double value in values)
        {
            largest = Math.Max(largest, Math.Abs(value));
        }

        return largest;
    }
}
