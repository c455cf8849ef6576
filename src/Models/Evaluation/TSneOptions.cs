namespace CrossAlign.Models.Evaluation;

/// <summary>Settings of <see cref="TSne"/>; the defaults are those of scikit-learn.</summary>
public sealed record TSneOptions
{
    /// <summary>Effective number of neighbours of a point; shrinks to (n - 1) / 3 for small sets.</summary>
    public double Perplexity { get; init; } = 30;

    /// <summary>Gradient steps.</summary>
    public int Iterations { get; init; } = 1000;

    /// <summary>Factor on the affinities during the first steps, so that clusters form before they spread.</summary>
    public double EarlyExaggeration { get; init; } = 12;

    /// <summary>The number of those first steps; momentum is 0.5 there and 0.8 afterwards.</summary>
    public int ExaggeratedIterations { get; init; } = 250;

    /// <summary>Step size; null takes n / exaggeration / 4, at least 50 (Belkina et al. 2019).</summary>
    public double? LearningRate { get; init; }

    /// <summary>Threads that compute, 0 = one for each processor. The result has the same bits for any number.</summary>
    public int Threads { get; init; }
}
