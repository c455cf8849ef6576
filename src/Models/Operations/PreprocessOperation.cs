using CrossAlign.Models.Checkpoints;
using CrossAlign.Models.Images;

namespace CrossAlign.Models.Operations;

/// <summary>
/// Prepares pictures as a published preprocessor does. Gives <c>pixel_values</c> float32 (B, 3, H, W), in ordinal order of the names, where all come
/// out at one size; and of each picture <c>NAME.uint8</c> [H, W, 3] (after resize and crop) and <c>NAME.pixel_values</c> [3, H, W].
/// </summary>
public sealed class PreprocessOperation
{
    private readonly ImageDecoder _decoder;
    private readonly ImagePreprocessor _preprocessor;

    /// <summary>
    /// Reads the settings: without a given preprocessor <c>form</c> (<c>vit</c>, <c>clip</c>, <c>openclip</c>) and <c>size</c> (224); <c>filter</c>, <c>order</c> as of resize;
    /// <c>alpha</c>, <c>orientation</c> as of decode.
    /// </summary>
    /// <param name="settings">The settings.</param>
    /// <param name="preprocessor">The preprocessor of a model or a file; null for one that the settings name.</param>
    /// <exception cref="UserErrorException">A setting is unknown or has another value.</exception>
    public PreprocessOperation(OperationSettings settings, ImagePreprocessor? preprocessor)
    {
        _decoder = DecodeOperation.DecoderOf(settings);
        if (preprocessor is null)
        {
            int size = ResizeOperation.LengthOf(settings, "size") ?? 224;
            preprocessor = settings.Choice(
                "form",
                ImagePreprocessor.Vit(size),
                ("vit", ImagePreprocessor.Vit(size)),
                ("clip", ImagePreprocessor.Clip(size)),
                ("openclip", ImagePreprocessor.Clip(size) with { CropRoundsToEven = true }));
        }

        _preprocessor = preprocessor with { Filter = ResizeOperation.FilterOf(settings, preprocessor.Filter), Order = ResizeOperation.OrderOf(settings) };
        settings.RefuseOthers();
    }

    /// <summary>Prepares.</summary>
    /// <param name="path">The input.</param>
    /// <returns>The outputs, to be saved.</returns>
    /// <exception cref="UserErrorException">The input cannot be read, or a picture is damaged or not supported; the message names it.</exception>
    public SafetensorsWriter Run(string path)
    {
        SafetensorsWriter writer = new();
        List<(RgbImage Fitted, float[] Values)> all = [];
        foreach ((string name, RgbImage image) in PictureInputs.Read(path, _decoder))
        {
            RgbImage fitted = _preprocessor.Fit(image);
            float[] values = new float[fitted.Pixels.Length];
            _preprocessor.Normalize(fitted, values);
            PictureInputs.Add(writer, name + ".uint8", fitted);
            writer.Add(name + ".pixel_values", [3, fitted.Height, fitted.Width], values);
            all.Add((fitted, values));
        }

        (int height, int width) = (all[0].Fitted.Height, all[0].Fitted.Width);
        if (all.TrueForAll(a => a.Fitted.Height == height && a.Fitted.Width == width))
        {
            writer.Add("pixel_values", [all.Count, 3, height, width], all.SelectMany(a => a.Values).ToArray());
        }

        return writer;
    }
}
