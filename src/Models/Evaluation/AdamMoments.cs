namespace CrossAlign.Models.Evaluation;

/// <summary>
/// Adam (Kingma and Ba 2015) on one parameter of the small classifier, with the published constants 0.9, 0.999 and 1e-8 and no decay.
/// </summary>
/// <param name="count">The number of values.</param>
internal sealed class AdamMoments(int count)
{
    // 1 - beta is rounded from double, as PyTorch does it: 1 - 0.999f would be off by 1.3e-5.
    private const float Beta2 = 0.999f;
    private const float OneLessBeta1 = (float)(1 - 0.9);
    private const float OneLessBeta2 = (float)(1 - 0.999);
    private const double Epsilon = 1e-8;

    /// <summary>The running mean of the gradient.</summary>
    internal float[] First { get; } = new float[count];

    /// <summary>The running mean of its square.</summary>
    internal float[] Second { get; } = new float[count];

    /// <summary>Moves the values. Where the gradient was always exactly 0 they stay.</summary>
    /// <param name="values">Updated.</param>
    /// <param name="gradient">Their gradient.</param>
    /// <param name="learningRate">Step size.</param>
    /// <param name="step">The number of this step, from 1.</param>
    internal void Apply(Span<float> values, ReadOnlySpan<float> gradient, float learningRate, int step)
    {
        double correction1 = 1 - Math.Pow(0.9, step);
        double correction2 = Math.Sqrt(1 - Math.Pow(0.999, step));
        double size = learningRate / correction1;
        for (int i = 0; i < values.Length; i++)
        {
            float g = gradient[i];
            First[i] += OneLessBeta1 * (g - First[i]);
            Second[i] = (Beta2 * Second[i]) + (OneLessBeta2 * g * g);
            values[i] = (float)(values[i] - (size * First[i] / ((Math.Sqrt(Second[i]) / correction2) + Epsilon)));
        }
    }
}
