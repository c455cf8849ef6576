namespace CrossAlign.Models.Images;

/// <summary>How a resized pixel is made of old ones. The values are Pillow's, as <c>preprocessor_config.json</c> writes them.</summary>
public enum ResizeFilter
{
    /// <summary>The old pixel at the new one's centre; aliases.</summary>
    Nearest = 0,

    /// <summary>A windowed sinc of three lobes.</summary>
    Lanczos = 1,

    /// <summary>The triangle.</summary>
    Bilinear = 2,

    /// <summary>Keys' cubic with a = -0.5.</summary>
    Bicubic = 3,

    /// <summary>The mean of the pixels covered.</summary>
    Box = 4,

    /// <summary>A sinc of one lobe in a Hamming window.</summary>
    Hamming = 5,
}
