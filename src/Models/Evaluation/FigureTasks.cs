namespace CrossAlign.Models.Evaluation;

/// <summary>The values of <see cref="Figure.Task"/>.</summary>
public static class FigureTasks
{
    /// <summary>Finding the translation of a text among texts of another language.</summary>
    public const string Bitext = "bitext";

    /// <summary>Finding the caption of a picture, or the picture of a caption.</summary>
    public const string Retrieval = "retrieval";

    /// <summary>The inference proxy made from short names and keywords. It is not XNLI.</summary>
    public const string CldrNli = "cldr-nli";

    /// <summary>The value of <see cref="Figure.From"/> or <see cref="Figure.To"/> that stands for pictures.</summary>
    public const string Picture = "picture";
}
