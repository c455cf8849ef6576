namespace CrossAlign.Models.Evaluation;

/// <summary>Points on a plane.</summary>
/// <param name="X">Horizontal position of each point.</param>
/// <param name="Y">Vertical position of each point.</param>
/// <param name="KullbackLeibler">The divergence that was minimised, in nats.</param>
public sealed record TSneMap(IReadOnlyList<double> X, IReadOnlyList<double> Y, double KullbackLeibler);
