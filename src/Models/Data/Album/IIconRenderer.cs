namespace CrossAlign.Models.Data.Album;

/// <summary>Turns SVG documents into pixels.</summary>
internal interface IIconRenderer
{
    /// <summary>Draws documents in order.</summary>
    /// <param name="documents">SVG documents.</param>
    /// <param name="drawn">Called once for each in order; null where one cannot be drawn.</param>
    /// <param name="cancellationToken">Stops the work.</param>
    /// <exception cref="UserErrorException">Nothing can be drawn at all.</exception>
    void Render(IReadOnlyList<string> documents, Action<int, RenderedIcon?> drawn, CancellationToken cancellationToken);
}
