namespace CrossAlign.Models.Profiling;

/// <summary>The least time by each resource of a GPU, computed from counts and its data sheet, not measured.</summary>
/// <param name="Gpu">The GPU.</param>
/// <param name="Milliseconds">By resource: <c>tensor cores</c>, <c>shared memory</c>, <c>memory</c>, <c>special functions</c>, <c>issue</c>, <c>float32</c>.</param>
/// <param name="LeastMilliseconds">The sum of each launch's slowest resource: no call can take less.</param>
/// <param name="BoundBy">The resource that takes longest.</param>
public sealed record PortTimes(string Gpu, IReadOnlyDictionary<string, double> Milliseconds, double LeastMilliseconds, string BoundBy);
