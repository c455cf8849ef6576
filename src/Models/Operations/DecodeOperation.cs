using CrossAlign.Models.Checkpoints;
using CrossAlign.Models.Images;

namespace CrossAlign.Models.Operations;

/// <summary>
/// Decodes pictures: a PNG or JPEG file gives <c>pixels</c>, uint8 [H, W, 3]; a safetensors file whose uint8 tensors are the bytes of picture
/// files gives each under its name.
/// </summary>
public sealed class DecodeOperation
{
    private readonly ImageDecoder _decoder;

    /// <summary>Reads the settings: <c>alpha</c> (<c>white</c>, <c>drop</c>) and <c>orientation</c> (<c>true</c>, <c>false</c>).</summary>
    /// <param name="settings">The settings.</param>
    /// <exception cref="UserErrorException">A setting is unknown or has another value.</exception>
    public DecodeOperation(OperationSettings settings)
    {
        _decoder = DecoderOf(settings);
        settings.RefuseOthers();
    }

    /// <summary>Decodes.</summary>
    /// <param name="path">The input.</param>
    /// <returns>The outputs, to be saved.</returns>
    /// <exception cref="UserErrorException">The input cannot be read, or a picture is damaged or not supported; the message names it.</exception>
    public SafetensorsWriter Run(string path)
    {
        SafetensorsWriter writer = new();
        foreach ((string name, RgbImage image) in PictureInputs.Read(path, _decoder))
        {
            PictureInputs.Add(writer, name, image);
        }

        return writer;
    }

    /// <summary>The decoder that settings ask for.</summary>
    internal static ImageDecoder DecoderOf(OperationSettings settings)
    {
        ArgumentNullException.ThrowIfNull(settings);
        return new ImageDecoder
        {
            Alpha = settings.Choice("alpha", ImageAlpha.OverWhite, ("white", ImageAlpha.OverWhite), ("drop", ImageAlpha.Drop)),
            ApplyOrientation = settings.Flag("orientation", true),
        };
    }
}
