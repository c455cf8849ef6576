namespace CrossAlign.Runtime.Tests.Cuda;

/// <summary>What was issued to a stream of a <see cref="WatchedDriver"/>.</summary>
/// <param name="Kind">What.</param>
/// <param name="Stream">The stream's number, in the order in which they were made: a device's operations go through 0, its copies beside them through 1.</param>
internal readonly record struct StreamCall(StreamCallKind Kind, int Stream);
