namespace CrossAlign.Models.Data;

/// <summary>How a picture that is not square becomes square.</summary>
public enum PictureFit
{
    /// <summary>Shown whole, with white on two sides, as the album's drawings are.</summary>
    Pad,

    /// <summary>The middle square of it.</summary>
    Crop,

    /// <summary>Shown whole, stretched.</summary>
    Squash,
}
