using MathNet.Numerics.LinearAlgebra;
using MathNet.Numerics.LinearAlgebra.Factorization;

namespace CrossAlign.Models.Evaluation;

/// <summary>
/// Exact t-SNE (van der Maaten and Hinton 2008): a map on which near points are those with alike vectors. It starts from the first two
/// principal components and uses no random numbers: the same vectors give the same map.
/// </summary>
/// <remarks>O(n^2) time and memory a step; 1,000 points take some seconds. Deterministic for any number of threads.</remarks>
public static class TSne
{
    private const double StartDeviation = 1e-4;
    private const double SmallestGain = 0.01;

    /// <summary>Lays vectors out on a plane.</summary>
    /// <param name="x">(n, E) vectors, compared by Euclidean distance: give unit rows for distances on the sphere.</param>
    /// <param name="options">Settings; the defaults where null.</param>
    /// <param name="cancellationToken">Stops the work.</param>
    /// <returns>The map. For fewer than 2 points they lie in the origin.</returns>
    /// <exception cref="ArgumentException">A value is not finite.</exception>
    /// <exception cref="ArgumentOutOfRangeException">A setting is out of range.</exception>
    /// <exception cref="OperationCanceledException">The work was stopped.</exception>
    public static TSneMap Run(EmbeddingMatrix x, TSneOptions? options = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(x);
        options ??= new TSneOptions();
        if (!(options.Perplexity > 1) || options.Iterations < 0 || options.ExaggeratedIterations < 0 || !(options.EarlyExaggeration > 0))
        {
            throw new ArgumentOutOfRangeException(nameof(options), options, "Perplexity lies above 1, factors above 0, counts are not negative.");
        }

        foreach (float value in x.Values)
        {
            if (!float.IsFinite(value))
            {
                throw new ArgumentException("A vector holds a value that is not finite.", nameof(x));
            }
        }

        if (x.Rows < 2)
        {
            return new TSneMap(new double[x.Rows], new double[x.Rows], 0);
        }

        ParallelOptions parallel = new()
        {
            MaxDegreeOfParallelism = options.Threads == 0 ? Environment.ProcessorCount : options.Threads,
            CancellationToken = cancellationToken,
        };
        TSneAffinities affinities = TSneAffinities.Of(x, options.Perplexity, parallel);
        (double[] px, double[] py) = PrincipalComponents(x);
        Descend(affinities, px, py, options, parallel);
        return new TSneMap(px, py, KullbackLeibler(affinities, px, py));
    }

    /// <summary>2 sum over i &lt; j of p ln(p / q), q proportional to 1 / (1 + d^2).</summary>
    /// <param name="affinities">p.</param>
    /// <param name="px">Horizontal positions.</param>
    /// <param name="py">Vertical positions.</param>
    /// <returns>The divergence in nats.</returns>
    internal static double KullbackLeibler(TSneAffinities affinities, double[] px, double[] py)
    {
        int n = affinities.Count;
        double total = 0;
        double divergence = 0;
        for (int i = 0; i < n; i++)
        {
            for (int j = 0; j < n; j++)
            {
                double weight = Weight(px, py, i, j);
                double p = affinities.Joint[(i * n) + j];
                total += i == j ? 0 : weight;
                divergence += p == 0 ? 0 : p * Math.Log(p / weight);
            }
        }

        // The joint affinities sum to 1, so the normalisation of q comes out of the sum.
        return divergence + Math.Log(total);
    }

    private static double Weight(double[] px, double[] py, int i, int j)
    {
        double dx = px[i] - px[j];
        double dy = py[i] - py[j];
        return 1 / (1 + (dx * dx) + (dy * dy));
    }

    // Gradient descent with momentum and a gain for each coordinate (Jacobs 1988), as the published implementation has it.
    private static void Descend(TSneAffinities affinities, double[] px, double[] py, TSneOptions options, ParallelOptions parallel)
    {
        int n = affinities.Count;
        double rate = options.LearningRate ?? Math.Max(n / options.EarlyExaggeration / 4, 50);
        TSneForces forces = new(affinities.Joint, px, py);
        double[] gainX = new double[n];
        double[] gainY = new double[n];
        double[] stepX = new double[n];
        double[] stepY = new double[n];
        Array.Fill(gainX, 1);
        Array.Fill(gainY, 1);
        for (int iteration = 0; iteration < options.Iterations; iteration++)
        {
            bool early = iteration < options.ExaggeratedIterations;
            Parallel.For(0, forces.TaskCount, parallel, forces.Sum);
            double normalisation = 0;
            for (int i = 0; i < n; i++)
            {
                normalisation += forces.Weights[i];
            }

            double exaggeration = early ? options.EarlyExaggeration : 1;
            double momentum = early ? 0.5 : 0.8;
            for (int i = 0; i < n; i++)
            {
                double dX = 4 * ((exaggeration * forces.AttractX[i]) - (forces.RepelX[i] / normalisation));
                double dY = 4 * ((exaggeration * forces.AttractY[i]) - (forces.RepelY[i] / normalisation));
                px[i] += Step(dX, ref gainX[i], ref stepX[i], momentum, rate);
                py[i] += Step(dY, ref gainY[i], ref stepY[i], momentum, rate);
            }
        }
    }

    private static double Step(double gradient, ref double gain, ref double step, double momentum, double rate)
    {
        gain = Math.Max(SmallestGain, step * gradient < 0 ? gain + 0.2 : gain * 0.8);
        step = (momentum * step) - (rate * gain * gradient);
        return step;
    }

    private static (double[] X, double[] Y) PrincipalComponents(EmbeddingMatrix x)
    {
        EmbeddingMatrix centred = x.Centred();
        double[] values = SpectralGeometry.ToDouble(centred, null);
        Matrix<double> gram = SpectralGeometry.CrossGram(values, x.Columns, values, x.Columns, x.Rows);
        Evd<double> evd = gram.Evd(Symmetricity.Symmetric);
        int last = x.Columns - 1;
        double[] first = Project(values, evd.EigenVectors.Column(last).ToArray(), x.Rows);
        double[] second = last == 0 ? new double[x.Rows] : Project(values, evd.EigenVectors.Column(last - 1).ToArray(), x.Rows);
        double deviation = Math.Sqrt(DoubleVectors.Dot(first, first) / x.Rows);
        double scale = deviation > 0 ? StartDeviation / deviation : 0;
        return ([.. first.Select(p => p * scale)], [.. second.Select(p => p * scale)]);
    }

    private static double[] Project(double[] rows, double[] direction, int count)
    {
        // An eigenvector's sign is arbitrary: the largest entry is made positive.
        double sign = Math.Sign(direction.MaxBy(Math.Abs));
        double[] projected = new double[count];
        for (int i = 0; i < count; i++)
        {
            projected[i] = sign * DoubleVectors.Dot(rows.AsSpan(i * direction.Length, direction.Length), direction);
        }

        return projected;
    }
}
