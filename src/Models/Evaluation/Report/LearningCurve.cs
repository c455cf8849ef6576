namespace CrossAlign.Models.Evaluation.Report;

/// <summary>How one run went.</summary>
/// <param name="Setup">The set-up.</param>
/// <param name="Seed">The seed.</param>
/// <param name="Loss">Step and training loss, smoothed or thinned as the caller likes.</param>
/// <param name="Recall">Step and mean R@1 on the validation concepts, a fraction of 1.</param>
public sealed record LearningCurve(
    string Setup, long Seed, IReadOnlyList<CurvePoint> Loss, IReadOnlyList<CurvePoint> Recall);
