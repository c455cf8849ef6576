namespace CrossAlign.Models.Images;

/// <summary>What becomes of transparent parts.</summary>
public enum ImageAlpha
{
    /// <summary>The picture is laid over white, as transformers 5 does.</summary>
    OverWhite,

    /// <summary>Alpha is dropped and the colours below it are kept, as Pillow's <c>convert("RGB")</c> and older transformers do.</summary>
    Drop,
}
