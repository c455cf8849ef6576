using System.Numerics;

namespace CrossAlign.Models.Evaluation;

/// <summary>What pulls and pushes each point of a t-SNE map, w = 1 / (1 + d^2): one pass over all pairs.</summary>
/// <param name="joint">(n, n) affinities p.</param>
/// <param name="px">Horizontal positions; read at every pass.</param>
/// <param name="py">Vertical positions; read at every pass.</param>
internal sealed class TSneForces(double[] joint, double[] px, double[] py)
{
    // Rows of a task: fixed, so that results do not depend on the number of threads, and large enough to be worth handing over.
    private const int TaskRows = 32;

    /// <summary>The number of tasks that <see cref="Sum"/> is cut into.</summary>
    internal int TaskCount => (px.Length + TaskRows - 1) / TaskRows;

    /// <summary>Sum of p w (xi - xj).</summary>
    internal double[] AttractX { get; } = new double[px.Length];

    /// <summary>Sum of p w (yi - yj).</summary>
    internal double[] AttractY { get; } = new double[px.Length];

    /// <summary>Sum of w^2 (xi - xj).</summary>
    internal double[] RepelX { get; } = new double[px.Length];

    /// <summary>Sum of w^2 (yi - yj).</summary>
    internal double[] RepelY { get; } = new double[px.Length];

    /// <summary>Sum of w over the other points.</summary>
    internal double[] Weights { get; } = new double[px.Length];

    /// <summary>Overwrites the sums of one task's points.</summary>
    /// <param name="task">Its number.</param>
    internal void Sum(int task)
    {
        int end = Math.Min(px.Length, (task + 1) * TaskRows);
        for (int i = task * TaskRows; i < end; i++)
        {
            SumOn(i);
        }
    }

    // One pass: attraction needs p w, repulsion w^2, and the normalisation of q comes at the end.
    private void SumOn(int i)
    {
        int n = px.Length;
        ReadOnlySpan<double> p = joint.AsSpan(i * n, n);
        ReadOnlySpan<double> xs = px;
        ReadOnlySpan<double> ys = py;
        Vector<double> x = new(px[i]);
        Vector<double> y = new(py[i]);
        Vector<double> attractX = default;
        Vector<double> attractY = default;
        Vector<double> repelX = default;
        Vector<double> repelY = default;
        Vector<double> weights = default;
        int j = 0;
        for (; j <= n - Vector<double>.Count; j += Vector<double>.Count)
        {
            Vector<double> dx = x - new Vector<double>(xs.Slice(j, Vector<double>.Count));
            Vector<double> dy = y - new Vector<double>(ys.Slice(j, Vector<double>.Count));
            Vector<double> w = Vector<double>.One / (Vector<double>.One + (dx * dx) + (dy * dy));
            Vector<double> pw = w * new Vector<double>(p.Slice(j, Vector<double>.Count));
            Vector<double> ww = w * w;
            attractX += pw * dx;
            attractY += pw * dy;
            repelX += ww * dx;
            repelY += ww * dy;
            weights += w;
        }

        (double ax, double ay, double rx, double ry, double sum) =
            (Vector.Sum(attractX), Vector.Sum(attractY), Vector.Sum(repelX), Vector.Sum(repelY), Vector.Sum(weights));
        for (; j < n; j++)
        {
            double dx = px[i] - px[j];
            double dy = py[i] - py[j];
            double w = 1 / (1 + (dx * dx) + (dy * dy));
            ax += p[j] * w * dx;
            ay += p[j] * w * dy;
            rx += w * w * dx;
            ry += w * w * dy;
            sum += w;
        }

        // The point itself is in the sum of the weights with exactly 1.
        (AttractX[i], AttractY[i], RepelX[i], RepelY[i], Weights[i]) = (ax, ay, rx, ry, sum - 1);
    }
}
