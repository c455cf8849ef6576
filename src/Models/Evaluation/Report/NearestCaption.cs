namespace CrossAlign.Models.Evaluation.Report;

/// <summary>The caption that a model finds nearest to a picture.</summary>
/// <param name="Language">The language.</param>
/// <param name="Text">The caption.</param>
/// <param name="IsRight">Whether it names what the picture shows.</param>
/// <param name="RightText">The right caption; null where there is none.</param>
/// <param name="Rank">The place of the right caption; null where there is none.</param>
public sealed record NearestCaption(string Language, string Text, bool IsRight, string? RightText, int? Rank);
