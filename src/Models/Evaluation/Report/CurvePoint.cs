namespace CrossAlign.Models.Evaluation.Report;

/// <summary>A point of a learning curve.</summary>
/// <param name="Step">The step.</param>
/// <param name="Value">What was measured; points that are not finite are left out of the plot.</param>
public readonly record struct CurvePoint(int Step, double Value);
