namespace CrossAlign.Models.Images;

/// <summary>How a picture of any shape comes to the size that a tower reads.</summary>
public enum ImageSizing
{
    /// <summary>It keeps its size.</summary>
    None,

    /// <summary>It is stretched to a height and a width.</summary>
    Squash,

    /// <summary>It keeps its shape; its shorter side gets a length.</summary>
    ShortestEdge,

    /// <summary>It keeps its shape; its longer side gets a length, and white fills up the square.</summary>
    Pad,
}
