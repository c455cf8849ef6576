namespace CrossAlign.Models.Images;

/// <summary>What is wrong with a picture's bytes; <see cref="ImageDecoder"/> puts the name of the file to it.</summary>
/// <param name="problem">What is wrong, as the end of the sentence "the picture 'name' ...".</param>
/// <param name="unsupported">Whether the file may be sound, only of a kind that is not supported.</param>
internal sealed class ImageFormatException(string problem, bool unsupported = false) : Exception(problem)
{
    /// <summary>Whether the file may be sound, only of a kind that is not supported.</summary>
    public bool Unsupported { get; } = unsupported;

    /// <summary>A sound file of a kind that is not supported.</summary>
    /// <param name="kind">The kind, with its article.</param>
    /// <returns>The exception to throw.</returns>
    public static ImageFormatException Refused(string kind) => new($"is {kind}, which is not supported", unsupported: true);
}
