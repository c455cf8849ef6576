namespace CrossAlign.Models.Evaluation;

/// <summary>Picks figures by their fields; a field left null takes all.</summary>
public sealed record FigureFilter
{
    /// <summary>The set-up.</summary>
    public string? Setup { get; init; }

    /// <summary>The task.</summary>
    public string? Task { get; init; }

    /// <summary>The language of the queries, or <c>picture</c>.</summary>
    public string? From { get; init; }

    /// <summary>The language of the pool, or <c>picture</c>.</summary>
    public string? To { get; init; }

    /// <summary>The set.</summary>
    public string? Set { get; init; }

    /// <summary>The style.</summary>
    public string? Style { get; init; }

    /// <summary>The query subset.</summary>
    public string? Queries { get; init; }

    /// <summary>The score.</summary>
    public string? Score { get; init; }

    /// <summary>Picks the figures that fit.</summary>
    /// <param name="figures">Figures.</param>
    /// <returns>Those that fit, in their order.</returns>
    public IEnumerable<Figure> Apply(IEnumerable<Figure> figures)
    {
        ArgumentNullException.ThrowIfNull(figures);
        return figures.Where(f =>
            Fits(Setup, f.Setup) && Fits(Task, f.Task) && Fits(From, f.From) && Fits(To, f.To) && Fits(Set, f.Set)
            && Fits(Style, f.Style) && Fits(Queries, f.Queries) && Fits(Score, f.Score));
    }

    private static bool Fits(string? asked, string? value) => asked is null || asked == value;
}
