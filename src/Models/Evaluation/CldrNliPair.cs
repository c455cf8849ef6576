namespace CrossAlign.Models.Evaluation;

/// <summary>A pair of the inference proxy.</summary>
/// <param name="Premise">A concept's short name.</param>
/// <param name="Hypothesis">A keyword of that concept or of another one.</param>
/// <param name="Label">0: its own keyword; 1: one of the same subgroup; 2: one of another top group.</param>
public sealed record CldrNliPair(string Premise, string Hypothesis, int Label);
