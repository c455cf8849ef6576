using CrossAlign.Models.Checkpoints;
using CrossAlign.Models.Images;

namespace CrossAlign.Models.Operations;

/// <summary>
/// The pictures of an input: one PNG or JPEG file (its picture is named <c>pixels</c>), or a safetensors file whose uint8 tensors are
/// decoded pictures [H, W, 3] or, of one dimension, the bytes of picture files.
/// </summary>
internal static class PictureInputs
{
    /// <summary>The name of the picture where the input is a picture file.</summary>
    public const string OnlyName = "pixels";

    /// <summary>Reads and decodes.</summary>
    /// <param name="path">The input.</param>
    /// <param name="decoder">Decodes files.</param>
    /// <returns>The pictures, in ordinal order of their names.</returns>
    /// <exception cref="UserErrorException">The input cannot be read, a tensor is no picture, or a picture is damaged.</exception>
    public static IReadOnlyList<(string Name, RgbImage Image)> Read(string path, ImageDecoder decoder)
    {
        if (!path.EndsWith(".safetensors", StringComparison.OrdinalIgnoreCase))
        {
            return [(OnlyName, decoder.DecodeFile(path))];
        }

        using SafetensorsFile file = SafetensorsFile.Open(path);
        List<(string, RgbImage)> images = [];
        foreach (SafetensorsEntry entry in file.Entries.OrderBy(e => e.Name, StringComparer.Ordinal))
        {
            if (entry.DType != SafetensorsDType.U8)
            {
                throw Bad(file, entry);
            }

            images.Add((entry.Name, entry.Shape switch
            {
                [_] => decoder.Decode(file.ReadBytes(entry.Name), entry.Name),
                [> 0 and <= int.MaxValue, > 0 and <= int.MaxValue, 3] when entry.ByteCount <= Array.MaxLength => new RgbImage((int)entry.Shape[1], (int)entry.Shape[0], file.ReadBytes(entry.Name)),
                _ => throw Bad(file, entry),
            }));
        }

        return images.Count > 0 ? images : throw new UserErrorException($"'{path}' holds no picture", "give uint8 tensors [H, W, 3]");
    }

    /// <summary>Adds a picture to an output.</summary>
    /// <param name="writer">The output.</param>
    /// <param name="name">Its name.</param>
    /// <param name="image">The picture: uint8 [H, W, 3].</param>
    public static void Add(SafetensorsWriter writer, string name, RgbImage image) => writer.AddRaw(name, SafetensorsDType.U8, [image.Height, image.Width, 3], image.Pixels);

    private static UserErrorException Bad(SafetensorsFile file, SafetensorsEntry entry) => new(
        $"'{file.Path}': '{entry}' is no picture", "give uint8 tensors: [H, W, 3] for decoded pictures, [bytes] for picture files");
}
