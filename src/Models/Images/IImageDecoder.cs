namespace CrossAlign.Models.Images;

/// <summary>Decodes picture files. Several threads may decode at once.</summary>
public interface IImageDecoder
{
    /// <summary>Decodes a whole file.</summary>
    /// <param name="bytes">Its content.</param>
    /// <param name="name">Its name, for errors.</param>
    /// <returns>The picture, transparent parts over white.</returns>
    /// <exception cref="UserErrorException">The file is damaged or of a kind not supported; the message names it.</exception>
    RgbImage Decode(ReadOnlySpan<byte> bytes, string name);
}
