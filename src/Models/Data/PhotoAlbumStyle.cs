namespace CrossAlign.Models.Data;

/// <summary>A drawing style of the photo album.</summary>
/// <param name="Style">The style.</param>
/// <param name="Pictures">How many concepts it draws.</param>
/// <param name="Skipped">Drawings that could not be rendered.</param>
public sealed record PhotoAlbumStyle(PictureStyle Style, int Pictures, IReadOnlyList<string> Skipped);
