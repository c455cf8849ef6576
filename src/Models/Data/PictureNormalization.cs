using System.Numerics;
using CrossAlign.Models.Encoders;
using CrossAlign.Models.Images;

namespace CrossAlign.Models.Data;

/// <summary>What a tower subtracts from a picture's channels (0 to 1) and divides them by.</summary>
/// <param name="Mean">Of red, green, blue.</param>
/// <param name="Deviation">Of red, green, blue; above 0.</param>
public readonly record struct PictureNormalization(Vector3 Mean, Vector3 Deviation)
{
    /// <summary>That of towers which start from scratch: mean 0.75 and deviation 0.35 suit drawings on white.</summary>
    public static PictureNormalization Scratch => new(new Vector3(0.75f), new Vector3(0.35f));

    /// <summary>What a published tower's folder says.</summary>
    /// <param name="folder">The checkpoint folder.</param>
    /// <param name="tower">Its tower: where the folder has no preprocessor file, the standard of its architecture holds.</param>
    /// <returns>The normalisation.</returns>
    /// <exception cref="UserErrorException">The file cannot be read, or asks for what is not done here.</exception>
    public static PictureNormalization OfFolder(string folder, ImageEncoderConfig tower)
    {
        ArgumentNullException.ThrowIfNull(tower);
        string? path = ImagePreprocessor.FileIn(folder);
        return Of(path is not null ? ImagePreprocessor.Read(path)
            : tower.IsClip ? ImagePreprocessor.Clip(tower.ImageSize)
            : ImagePreprocessor.Vit(tower.ImageSize));
    }

    /// <summary>What a published preprocessor does behind its resize, for channels from 0 to 1.</summary>
    /// <param name="preprocessor">The preprocessor; its factor for levels of 0 to 255 goes into mean and deviation.</param>
    /// <returns>The normalisation.</returns>
    public static PictureNormalization Of(ImagePreprocessor preprocessor)
    {
        ArgumentNullException.ThrowIfNull(preprocessor);
        double unit = 255 * preprocessor.RescaleFactor;
        return new PictureNormalization(ToVector(preprocessor.Mean, unit), ToVector(preprocessor.Deviation, unit));
    }

    private static Vector3 ToVector(IReadOnlyList<double> values, double unit) =>
        new((float)(values[0] / unit), (float)(values[1] / unit), (float)(values[2] / unit));
}
