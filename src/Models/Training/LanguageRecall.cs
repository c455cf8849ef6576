namespace CrossAlign.Models.Training;

/// <summary>R@1 of one language, both directions, as fractions of 1.</summary>
/// <param name="Language">Its code.</param>
/// <param name="FromCaption">Caption to picture.</param>
/// <param name="ToCaption">Picture to caption.</param>
public sealed record LanguageRecall(string Language, double FromCaption, double ToCaption);
