using System.Numerics;

namespace CrossAlign.Reference;

/// <summary>
/// Adam with decoupled weight decay (Loshchilov, Hutter 2019, algorithm 2, the decay multiplied by the learning rate), after scaling
/// the gradient by a clip factor. In double the reference; in float the naive twin.
/// </summary>
public static class AdamWReference
{
    public static void Step<T>(
        T[] weight, T[] gradient, T[] first, T[] second, double rate, int step, double beta1, double beta2, double epsilon, double decay, double clip)
        where T : IFloatingPointIeee754<T>
    {
        T b1 = T.CreateChecked(beta1);
        T b2 = T.CreateChecked(beta2);
        T correction1 = T.CreateChecked(1 - Math.Pow(beta1, step));
        T correction2 = T.CreateChecked(1 - Math.Pow(beta2, step));
        for (int i = 0; i < weight.Length; i++)
        {
            T g = gradient[i] * T.CreateChecked(clip);
            weight[i] *= T.CreateChecked(1 - (rate * decay));
            first[i] = (b1 * first[i]) + ((T.One - b1) * g);
            second[i] = (b2 * second[i]) + ((T.One - b2) * g * g);
            weight[i] -= T.CreateChecked(rate) * (first[i] / correction1) / (T.Sqrt(second[i] / correction2) + T.CreateChecked(epsilon));
        }
    }

    /// <summary>The norm of all gradients, and <c>min(1, c / (norm + 1e-6))</c>.</summary>
    public static (double Norm, double Factor) Clip(IEnumerable<double[]> gradients, double maxNorm)
    {
        double norm = Math.Sqrt(gradients.Sum(g => g.Sum(v => v * v)));
        return (norm, Math.Min(1, maxNorm / (norm + 1e-6)));
    }
}
