namespace CrossAlign.Models.Profiling;

/// <summary>What one operation takes within a training step.</summary>
/// <param name="Operation">Its name.</param>
/// <param name="Calls">Mean number of calls a step.</param>
/// <param name="Milliseconds">Mean time a step.</param>
/// <param name="Share">Of the time of all operations.</param>
/// <param name="Gflops">The rate of its matrix products; null where it has none.</param>
public sealed record OperationTime(string Operation, double Calls, double Milliseconds, double Share, double? Gflops);
