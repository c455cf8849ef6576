using System.Globalization;

namespace CrossAlign.Kernels.Tests.Harness;

/// <summary>
/// Proves the gradient of a reference in double: <c>(f(x + h) - f(x - h)) / 2h</c> with h = 1e-5, for the scalar
/// <c>sum(upstream * output)</c>. Never used on float32 results.
/// </summary>
public static class CentralDifferences
{
    private const double Step = 1e-5;

    /// <summary>Fails unless <paramref name="gradient"/> is the derivative of <paramref name="scalar"/> at <paramref name="x"/>.</summary>
    /// <param name="x">The point; restored when the call returns.</param>
    /// <param name="gradient">The gradient to prove.</param>
    /// <param name="scalar">Evaluates the scalar with the current content of <paramref name="x"/>.</param>
    /// <param name="what">Named in the message.</param>
    public static void Assert(double[] x, double[] gradient, Func<double> scalar, string what)
    {
        double size = 1;
        foreach (double g in gradient)
        {
            size = Math.Max(size, Math.Abs(g));
        }

        for (int i = 0; i < x.Length; i++)
        {
            double kept = x[i];
            x[i] = kept + Step;
            double above = scalar();
            x[i] = kept - Step;
            double below = scalar();
            x[i] = kept;
            double expected = (above - below) / (2 * Step);
            Xunit.Assert.True(
                Math.Abs(expected - gradient[i]) <= 1e-8 * size,
                string.Create(CultureInfo.InvariantCulture, $"{what}: element {i} is {gradient[i]:G17}, central difference {expected:G17}."));
        }
    }

    /// <summary>The inner product of two arrays.</summary>
    public static double Dot(double[] a, double[] b)
    {
        double sum = 0;
        for (int i = 0; i < a.Length; i++)
        {
            sum += a[i] * b[i];
        }

        return sum;
    }
}
