namespace CrossAlign.Models.Diagnostics;

/// <summary>A width of vectors that the CPU backend has code for.</summary>
/// <param name="Tier">Its name.</param>
/// <param name="Supported">Whether it can run here.</param>
/// <param name="Used">Whether it is the one that runs.</param>
public sealed record SimdTierReport(string Tier, bool Supported, bool Used);
