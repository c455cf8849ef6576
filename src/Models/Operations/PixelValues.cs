using CrossAlign.Models.Checkpoints;
using CrossAlign.Models.Encoders;

namespace CrossAlign.Models.Operations;

/// <summary>Pictures that another program has decoded, resized and normalised: the tensor <c>pixel_values</c> (B, 3, H, W).</summary>
public sealed class PixelValues
{
    private readonly float[] _values;

    private PixelValues(float[] values, int count, int height, int width, int patch)
    {
        _values = values;
        Count = count;
        Height = height;
        Width = width;
        TokensEach = 1 + (height / patch * (width / patch));
    }

    /// <summary>The number of pictures.</summary>
    public int Count { get; }

    /// <summary>H.</summary>
    public int Height { get; }

    /// <summary>W.</summary>
    public int Width { get; }

    /// <summary>The tokens of a picture: its patches and the class token.</summary>
    public int TokensEach { get; }

    /// <summary>Reads and checks the pictures.</summary>
    /// <param name="file">The file.</param>
    /// <param name="tower">The tower that they are for.</param>
    /// <returns>The pictures.</returns>
    /// <exception cref="UserErrorException">The tensor is missing or has another shape.</exception>
    public static PixelValues Read(SafetensorsFile file, ImageTower tower)
    {
        ArgumentNullException.ThrowIfNull(file);
        ArgumentNullException.ThrowIfNull(tower);
        SafetensorsEntry entry = file.Entry("pixel_values");
        int patch = tower.Config.PatchSize;
        return entry.Shape is [> 0 and <= int.MaxValue, 3, <= int.MaxValue, <= int.MaxValue] && entry.Shape[2] >= patch && entry.Shape[3] >= patch
            ? new PixelValues(file.ReadSingles("pixel_values"), (int)entry.Shape[0], (int)entry.Shape[2], (int)entry.Shape[3], patch)
            : throw new UserErrorException(
                FormattableString.Invariant($"'{file.Path}': 'pixel_values' is {entry.ShapeText}; it must be (B, 3, H, W) with at least {patch} rows and columns"),
                "give normalised pictures, channels first");
    }

    /// <summary>Some of the pictures.</summary>
    /// <param name="first">The first.</param>
    /// <param name="count">How many.</param>
    /// <returns>(count, 3, H, W), row-major.</returns>
    public ReadOnlySpan<float> Slice(int first, int count)
    {
        int size = 3 * Height * Width;
        return _values.AsSpan(first * size, count * size);
    }
}
