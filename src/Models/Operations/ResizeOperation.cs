using CrossAlign.Models.Checkpoints;
using CrossAlign.Models.Images;

namespace CrossAlign.Models.Operations;

/// <summary>Resizes pictures as Pillow does: a picture file gives <c>pixels</c>, tensors of a safetensors file keep their names; uint8 [H, W, 3].</summary>
public sealed class ResizeOperation
{
    private readonly ImageDecoder _decoder;
    private readonly int _width;
    private readonly int _height;
    private readonly ResizeFilter _filter;
    private readonly ResizeOrder _order;

    /// <summary>
    /// Reads the settings: <c>size</c>, or <c>width</c> and <c>height</c>; <c>filter</c> (<c>bilinear</c>, <c>bicubic</c>, <c>lanczos</c>, <c>nearest</c>, <c>box</c>,
    /// <c>hamming</c>); <c>order</c> (<c>pillow13</c>, <c>horizontalFirst</c>); <c>alpha</c>, <c>orientation</c> as of decode.
    /// </summary>
    /// <param name="settings">The settings.</param>
    /// <exception cref="UserErrorException">A setting is unknown, has another value, or the size is missing.</exception>
    public ResizeOperation(OperationSettings settings)
    {
        _decoder = DecodeOperation.DecoderOf(settings);
        int? size = LengthOf(settings, "size");
        _width = LengthOf(settings, "width") ?? size ?? throw Missing();
        _height = LengthOf(settings, "height") ?? size ?? throw Missing();
        _filter = FilterOf(settings, ResizeFilter.Bilinear);
        _order = OrderOf(settings);
        settings.RefuseOthers();
    }

    /// <summary>Resizes.</summary>
    /// <param name="path">The input.</param>
    /// <returns>The outputs, to be saved.</returns>
    /// <exception cref="UserErrorException">The input cannot be read, or a picture is damaged or not supported; the message names it.</exception>
    public SafetensorsWriter Run(string path)
    {
        SafetensorsWriter writer = new();
        foreach ((string name, RgbImage image) in PictureInputs.Read(path, _decoder))
        {
            PictureInputs.Add(writer, name, ImageResize.Resize(image, _width, _height, _filter, _order));
        }

        return writer;
    }

    /// <summary>A number of pixels, or null.</summary>
    internal static int? LengthOf(OperationSettings settings, string key)
    {
        const int Largest = 1 << 14;
        return settings.Number(key) is not float value ? null
            : value is >= 1 and <= Largest && value == MathF.Floor(value) ? (int)value
            : throw new UserErrorException(FormattableString.Invariant($"--set {key}={value} is no number of pixels"), FormattableString.Invariant($"give a whole number from 1 to {Largest}"));
    }

    /// <summary>The filter.</summary>
    internal static ResizeFilter FilterOf(OperationSettings settings, ResizeFilter standard) => settings.Choice(
        "filter",
        standard,
        ("nearest", ResizeFilter.Nearest),
        ("lanczos", ResizeFilter.Lanczos),
        ("bilinear", ResizeFilter.Bilinear),
        ("bicubic", ResizeFilter.Bicubic),
        ("box", ResizeFilter.Box),
        ("hamming", ResizeFilter.Hamming));

    /// <summary>The order of passes.</summary>
    internal static ResizeOrder OrderOf(OperationSettings settings) => settings.Choice(
        "order", ResizeOrder.Pillow13, ("pillow13", ResizeOrder.Pillow13), ("horizontalFirst", ResizeOrder.HorizontalFirst));

    private static UserErrorException Missing() => new("the new size is not said", "give --set size=224, or --set width=320 --set height=240");
}
