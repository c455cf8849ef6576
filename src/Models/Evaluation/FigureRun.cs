namespace CrossAlign.Models.Evaluation;

/// <summary>Where, when and with what figures were measured.</summary>
/// <param name="Version">The program's version.</param>
/// <param name="Commit">The commit it was built from; null where unknown.</param>
/// <param name="Device">The device: <c>cpu (AVX2, 2 threads)</c>, say.</param>
/// <param name="Threads">Threads that computed.</param>
/// <param name="Seeds">The seeds that were run.</param>
/// <param name="Data">The data set's name or folder.</param>
/// <param name="Started">When the run began.</param>
/// <param name="Seconds">How long it took.</param>
public sealed record FigureRun(
    string Version,
    string? Commit,
    string Device,
    int Threads,
    IReadOnlyList<long> Seeds,
    string Data,
    DateTimeOffset Started,
    double Seconds);
