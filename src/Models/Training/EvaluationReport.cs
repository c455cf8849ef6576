namespace CrossAlign.Models.Training;

/// <summary>An evaluation on the validation concepts: R@1 of retrieval between captions and pictures (or English captions), a language.</summary>
/// <param name="Step">After which step.</param>
/// <param name="Pool">Candidates.</param>
/// <param name="Languages">For each language R@1 from caption and R@1 to caption.</param>
public sealed record EvaluationReport(int Step, int Pool, IReadOnlyList<LanguageRecall> Languages)
{
    /// <summary>The mean over languages and both directions: what <c>keep: best</c> selects by.</summary>
    public double Mean => Languages.Count == 0 ? 0 : Languages.Average(l => (l.FromCaption + l.ToCaption) / 2);
}
