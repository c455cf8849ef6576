using System.Numerics;

namespace CrossAlign.Models.Evaluation;

/// <summary>
/// The joint affinities of t-SNE, (p_ij + p_ji) / 2n: the Gaussian around each point is as wide as gives it the entropy ln(perplexity).
/// </summary>
internal sealed class TSneAffinities
{
    // The entropy can be met to about 1e-15 times its size; 1e-13 is safely above the noise of its sum.
    private const double EntropyTolerance = 1e-13;
    private const int MaxSearchSteps = 200;

    private TSneAffinities(int count, double[] joint, double[] beta)
    {
        Count = count;
        Joint = joint;
        Beta = beta;
    }

    /// <summary>The number of points.</summary>
    internal int Count { get; }

    /// <summary>(n, n) joint affinities, symmetric, zero on the diagonal; they sum to 1.</summary>
    internal double[] Joint { get; }

    /// <summary>The precision of each point's Gaussian: weights are exp(-beta d^2).</summary>
    internal double[] Beta { get; }

    /// <summary>Computes the affinities from squared Euclidean distances in double.</summary>
    /// <param name="x">(n, E) vectors.</param>
    /// <param name="perplexity">Effective number of neighbours, above 1; shrinks to (n - 1) / 3.</param>
    /// <param name="options">Threads and cancellation.</param>
    /// <returns>The affinities.</returns>
    internal static TSneAffinities Of(EmbeddingMatrix x, double perplexity, ParallelOptions options)
    {
        int n = x.Rows;
        double entropy = Math.Log(Math.Max(1, Math.Min(perplexity, (n - 1) / 3.0)));
        double[] conditional = new double[(long)n * n];
        double[] beta = new double[n];
        Parallel.For(0, n, options, () => new double[n], (i, _, distances) =>
        {
            Distances(x, i, distances);
            beta[i] = Search(distances, i, entropy, conditional.AsSpan(i * n, n));
            return distances;
        }, _ => { });

        double[] joint = new double[conditional.Length];
        Parallel.For(0, n, options, i =>
        {
            for (int j = 0; j < n; j++)
            {
                joint[(i * n) + j] = (conditional[(i * n) + j] + conditional[(j * n) + i]) / (2.0 * n);
            }
        });
        return new TSneAffinities(n, joint, beta);
    }

    private static void Distances(EmbeddingMatrix x, int i, double[] distances)
    {
        ReadOnlySpan<float> own = x.Row(i);
        for (int j = 0; j < distances.Length; j++)
        {
            ReadOnlySpan<float> other = x.Row(j);
            Vector<double> sum = default;
            int d = 0;
            for (; d <= own.Length - Vector<float>.Count; d += Vector<float>.Count)
            {
                Vector.Widen(new Vector<float>(own[d..]), out Vector<double> low, out Vector<double> high);
                Vector.Widen(new Vector<float>(other[d..]), out Vector<double> otherLow, out Vector<double> otherHigh);
                low -= otherLow;
                high -= otherHigh;
                sum += (low * low) + (high * high);
            }

            double total = Vector.Sum(sum);
            for (; d < own.Length; d++)
            {
                double difference = (double)own[d] - other[d];
                total += difference * difference;
            }

            distances[j] = total;
        }
    }

    // Newton's method on the entropy, kept inside a bracket that bisection narrows: H falls as beta grows, dH/dbeta = -beta Var(d).
    private static double Search(double[] distances, int self, double target, Span<double> p)
    {
        double nearest = double.PositiveInfinity;
        double mean = 0;
        for (int j = 0; j < distances.Length; j++)
        {
            if (j != self)
            {
                nearest = Math.Min(nearest, distances[j]);
                mean += distances[j] / Math.Max(1, distances.Length - 1);
            }
        }

        double low = 0;
        double high = double.PositiveInfinity;
        double beta = mean > 0 ? 1 / mean : 1;
        for (int step = 0; step < MaxSearchSteps; step++)
        {
            (double entropy, double variance) = Weigh(distances, self, nearest, beta, p);
            double excess = entropy - target;
            if (Math.Abs(excess) <= EntropyTolerance)
            {
                break;
            }

            if (excess > 0)
            {
                low = beta;
            }
            else
            {
                high = beta;
            }

            double newton = beta + (excess / (beta * variance));
            double next = newton > low && newton < high && !double.IsInfinity(newton)
                ? newton
                : double.IsInfinity(high) ? beta * 2 : (low + high) / 2;
            if (next == beta)
            {
                break;
            }

            beta = next;
        }

        return beta;
    }

    private static (double Entropy, double Variance) Weigh(double[] distances, int self, double nearest, double beta, Span<double> p)
    {
        // The nearest distance is subtracted, so that one weight is 1 and the sum cannot vanish.
        double sum = 0;
        double first = 0;
        double second = 0;
        for (int j = 0; j < p.Length; j++)
        {
            double distance = distances[j] - nearest;
            double weight = j == self ? 0 : Math.Exp(-beta * distance);
            p[j] = weight;
            sum += weight;
            first += weight * distance;
            second += weight * distance * distance;
        }

        double inverse = sum == 0 ? 0 : 1 / sum;
        for (int j = 0; j < p.Length; j++)
        {
            p[j] *= inverse;
        }

        double mean = first * inverse;
        return (sum == 0 ? 0 : Math.Log(sum) + (beta * mean), Math.Max(0, (second * inverse) - (mean * mean)));
    }
}
