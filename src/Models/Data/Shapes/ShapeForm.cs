namespace CrossAlign.Models.Data.Shapes;

/// <summary>Outlines that can be drawn.</summary>
internal enum ShapeForm
{
    Circle,
    Square,
    Triangle,
    Star,
    Heart,
    Cross,
    Moon,
    Flower,
    House,
    Fish,
    Boat,
}
