namespace CrossAlign.Models.Diagnostics;

/// <summary>The machine's processor.</summary>
/// <param name="Model">Its name, as far as the operating system tells.</param>
/// <param name="Architecture">Its instruction set.</param>
/// <param name="Cores">Logical processors that this process may use.</param>
/// <param name="Tiers">The widths of vectors, the widest first.</param>
/// <param name="MemoryByteCount">Memory that this process may use.</param>
/// <param name="AvailableByteCount">Of that, what is free.</param>
/// <param name="Rates">What was measured with all threads.</param>
public sealed record ProcessorReport(
    string Model,
    string Architecture,
    int Cores,
    IReadOnlyList<SimdTierReport> Tiers,
    long MemoryByteCount,
    long AvailableByteCount,
    RateReport Rates);
