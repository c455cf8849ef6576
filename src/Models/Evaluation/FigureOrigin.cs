namespace CrossAlign.Models.Evaluation;

/// <summary>The run that figures belong to.</summary>
/// <param name="Setup">The set-up that was trained.</param>
/// <param name="Seed">The run's seed.</param>
public sealed record FigureOrigin(string Setup, long Seed);
