namespace CrossAlign.Models.Data;

/// <summary>Where a part of the data comes from and under which licence, for reports and model cards.</summary>
/// <param name="Name">The package or folder.</param>
/// <param name="Version">Its version, or empty.</param>
/// <param name="Licence">An SPDX identifier, or empty where the user knows.</param>
/// <param name="Provides">What it is used for.</param>
public sealed record DataSource(string Name, string Version, string Licence, string Provides);
