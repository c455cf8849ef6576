namespace CrossAlign.Models.Images;

/// <summary>Which pass of a resize comes first. Each pass rounds to whole levels, so the orders differ by one level here and there.</summary>
public enum ResizeOrder
{
    /// <summary>As Pillow 13 does: vertically first where the height shrinks by more than twice what the width does.</summary>
    Pillow13,

    /// <summary>Always horizontally first, as Pillow did before.</summary>
    HorizontalFirst,
}
