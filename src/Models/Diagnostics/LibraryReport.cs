namespace CrossAlign.Models.Diagnostics;

/// <summary>A native library.</summary>
/// <param name="Found">Whether it could be loaded.</param>
/// <param name="Source">The path or name under which it was found, or null.</param>
/// <param name="Version">Its version, or null where it cannot be asked.</param>
public sealed record LibraryReport(bool Found, string? Source, string? Version);
