using System.Numerics;

namespace CrossAlign.Models.Evaluation;

/// <summary>The two vector operations in double that the measures need; sums run in a fixed order.</summary>
internal static class DoubleVectors
{
    /// <summary>destination += scale * x.</summary>
    /// <param name="scale">Factor.</param>
    /// <param name="x">Values.</param>
    /// <param name="destination">Accumulated into; of the same length.</param>
    internal static void AddScaled(double scale, ReadOnlySpan<double> x, Span<double> destination)
    {
        Vector<double> factor = new(scale);
        int j = 0;
        for (; j <= destination.Length - Vector<double>.Count; j += Vector<double>.Count)
        {
            Span<double> part = destination[j..];
            (new Vector<double>(part) + (factor * new Vector<double>(x[j..]))).CopyTo(part);
        }

        for (; j < destination.Length; j++)
        {
            destination[j] += scale * x[j];
        }
    }

    /// <summary>The inner product.</summary>
    /// <param name="x">Values.</param>
    /// <param name="y">As many values.</param>
    /// <returns>Their inner product.</returns>
    internal static double Dot(ReadOnlySpan<double> x, ReadOnlySpan<double> y)
    {
        Vector<double> sum = default;
        int j = 0;
        for (; j <= x.Length - Vector<double>.Count; j += Vector<double>.Count)
        {
            sum += new Vector<double>(x[j..]) * new Vector<double>(y[j..]);
        }

        double total = Vector.Sum(sum);
        for (; j < x.Length; j++)
        {
            total += x[j] * y[j];
        }

        return total;
    }
}
