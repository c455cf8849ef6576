namespace CrossAlign.Models.Evaluation;

/// <summary>Figures laid out in rows and columns, each cell the mean over seeds.</summary>
public sealed class FigureTable
{
    private readonly Dictionary<(string Row, string Column), SeedStatistics> _cells;

    private FigureTable(
        IReadOnlyList<string> rows, IReadOnlyList<string> columns, Dictionary<(string Row, string Column), SeedStatistics> cells)
    {
        Rows = rows;
        Columns = columns;
        _cells = cells;
    }

    /// <summary>The names of the rows in order of first appearance.</summary>
    public IReadOnlyList<string> Rows { get; }

    /// <summary>The names of the columns in order of first appearance.</summary>
    public IReadOnlyList<string> Columns { get; }

    /// <summary>The cell of a row and a column; null where nothing was measured.</summary>
    /// <param name="row">The row's name.</param>
    /// <param name="column">The column's name.</param>
    /// <returns>Mean, spread, interval and baseline.</returns>
    public SeedStatistics? this[string row, string column] => _cells.GetValueOrDefault((row, column));

    /// <summary>Lays figures out.</summary>
    /// <param name="figures">Figures that differ, apart from the seed, in their row or their column: filter first.</param>
    /// <param name="row">Names a figure's row: <c>f => f.Setup</c>.</param>
    /// <param name="column">Names a figure's column: <c>f => f.From</c>.</param>
    /// <returns>The table.</returns>
    /// <exception cref="ArgumentException">Two different figures would fall into one cell.</exception>
    public static FigureTable Pivot(IEnumerable<Figure> figures, Func<Figure, string> row, Func<Figure, string> column)
    {
        ArgumentNullException.ThrowIfNull(figures);
        ArgumentNullException.ThrowIfNull(row);
        ArgumentNullException.ThrowIfNull(column);
        Dictionary<(string Row, string Column), SeedStatistics> cells = [];
        List<string> rows = [];
        List<string> columns = [];
        foreach (SeedStatistics statistics in SeedStatistics.Of(figures))
        {
            (string Row, string Column) key = (row(statistics.Figure), column(statistics.Figure));
            if (!cells.TryAdd(key, statistics))
            {
                throw new ArgumentException(
                    $"Two different figures fall into row '{key.Row}' and column '{key.Column}': filter them first.", nameof(figures));
            }

            AddOnce(rows, key.Row);
            AddOnce(columns, key.Column);
        }

        return new FigureTable(rows, columns, cells);
    }

    private static void AddOnce(List<string> names, string name)
    {
        if (!names.Contains(name))
        {
            names.Add(name);
        }
    }
}
