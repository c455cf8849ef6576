namespace CrossAlign.Models.Evaluation.Report;

/// <summary>A map of captions of one set-up, as the paper's Figure 1.</summary>
/// <param name="Setup">The set-up.</param>
/// <param name="Points">The captions.</param>
/// <param name="KullbackLeibler">The divergence that t-SNE reached.</param>
public sealed record CaptionMap(string Setup, IReadOnlyList<CaptionMapPoint> Points, double KullbackLeibler)
{
    /// <summary>
    /// The share of captions whose nearest caption on the map says the same in another language: what the eye is to see, as a number.
    /// </summary>
    /// <returns>A fraction of 1; null for fewer than 2 captions.</returns>
    public double? TranslationIsNearest()
    {
        if (Points.Count < 2)
        {
            return null;
        }

        int hits = 0;
        for (int i = 0; i < Points.Count; i++)
        {
            CaptionMapPoint point = Points[i];
            double best = double.PositiveInfinity;
            int nearest = -1;
            for (int j = 0; j < Points.Count; j++)
            {
                double dx = Points[j].X - point.X;
                double dy = Points[j].Y - point.Y;
                double distance = (dx * dx) + (dy * dy);
                (best, nearest) = j != i && distance < best ? (distance, j) : (best, nearest);
            }

            hits += nearest >= 0 && Points[nearest].Concept == point.Concept && Points[nearest].Language != point.Language ? 1 : 0;
        }

        return (double)hits / Points.Count;
    }
}
