namespace CrossAlign.Models.Encoders;

/// <summary>A picture as an image tower reads it.</summary>
/// <param name="Pixels">float32 [3, H, W], normalised.</param>
/// <param name="Height">H.</param>
/// <param name="Width">W.</param>
/// <param name="TokenCount">The tokens it makes: its patches and the class token.</param>
public sealed record PreparedImage(float[] Pixels, int Height, int Width, int TokenCount);
