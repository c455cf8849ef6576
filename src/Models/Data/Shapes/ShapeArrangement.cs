namespace CrossAlign.Models.Data.Shapes;

/// <summary>How a scene shows its thing: its size, its number or its place.</summary>
internal enum ShapeArrangement
{
    Big,
    Small,
    Two,
    Three,
    Left,
    Right,
    Top,
    Bottom,
}
