namespace CrossAlign.Models.Tests.Data;

/// <summary>The published list of the album's concepts with their splits and sets.</summary>
internal static class AlbumFixture
{
    internal sealed record Row(string Id, string Symbol, string Category, string Subcategory, string Split, string Set);

    internal static IReadOnlyList<Row> Rows { get; } = [.. File
        .ReadLines(Path.Combine(AppContext.BaseDirectory, "fixtures", "album", "concepts.tsv"))
        .Skip(1)
        .Select(line => line.Split('\t'))
        .Select(cells => new Row(cells[0], cells[1], cells[2], cells[3], cells[4], cells[5]))];
}
