namespace CrossAlign.Models.Evaluation;

/// <summary>Retrieval where several items are right for a query.</summary>
/// <param name="MeanAveragePrecision">
/// Mean over queries of the mean over relevant items of (relevant so far / place); among equal scores irrelevant items come first.
/// </param>
/// <param name="RelevantPerQuery">Mean number of relevant items.</param>
/// <param name="AnyRelevant">The measures of the place of the first relevant item.</param>
public sealed record GroupedRetrievalMetrics(double MeanAveragePrecision, double RelevantPerQuery, RetrievalMetrics AnyRelevant);
