namespace CrossAlign.Models.Evaluation.Report;

/// <summary>A picture with the caption that a model finds nearest in each language.</summary>
/// <param name="Pixels">Size x Size x 3 bytes: red, green, blue, from the top left.</param>
/// <param name="Size">Width and height in pixels.</param>
/// <param name="Name">What the picture shows, in the pivot language.</param>
/// <param name="Style">The drawing style's name for people.</param>
/// <param name="Licence">The licence of the picture; may be empty.</param>
/// <param name="Nearest">The nearest caption of each language.</param>
public sealed record PictureCard(
    ReadOnlyMemory<byte> Pixels, int Size, string Name, string Style, string Licence, IReadOnlyList<NearestCaption> Nearest);
