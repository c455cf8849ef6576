namespace CrossAlign.Models.Data;

/// <summary>How a folder of the user's own is read.</summary>
public sealed record FolderOptions
{
    /// <summary>Whether a picture that cannot be read is left out, with a warning, and not an error.</summary>
    public bool SkipUnreadable { get; init; }

    /// <summary>How a picture that is not square becomes square, where no published tower's preprocessor says.</summary>
    public PictureFit Fit { get; init; } = PictureFit.Pad;
}
