namespace CrossAlign.Models.Evaluation.Report;

/// <summary>A language.</summary>
/// <param name="Code">Its code: <c>qu</c>.</param>
/// <param name="Name">Its English name: <c>Quechua</c>.</param>
public sealed record ReportLanguage(string Code, string Name);
