namespace CrossAlign.Models.Profiling;

/// <summary>What one part of a training step takes.</summary>
/// <param name="Part">text tower, image tower, loss, optimizer or data.</param>
/// <param name="Milliseconds">Mean time a step.</param>
/// <param name="Share">Of the step's time.</param>
public sealed record PartTime(string Part, double Milliseconds, double Share);
