namespace CrossAlign.Models.Diagnostics;

/// <summary>A program that something here calls.</summary>
/// <param name="Name">The program's name.</param>
/// <param name="Purpose">What it is for.</param>
/// <param name="Path">Where it was found, or null.</param>
/// <param name="Version">The first line that it says of itself, or null.</param>
public sealed record ToolReport(string Name, string Purpose, string? Path, string? Version);
