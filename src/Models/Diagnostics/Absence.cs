namespace CrossAlign.Models.Diagnostics;

/// <summary>Something that this machine does not have.</summary>
/// <param name="What">What is missing, and what for it would be needed.</param>
/// <param name="Reason">Why it counts as missing, in the words of the loader or the driver where there are any.</param>
/// <param name="Remedy">One line: what to install or set.</param>
public sealed record Absence(string What, string Reason, string Remedy);
