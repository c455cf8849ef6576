namespace CrossAlign.Models.Data;

/// <summary>What the photo album holds, for people and for <c>run.json</c>.</summary>
/// <param name="Concepts">Number of concepts.</param>
/// <param name="Train">Of these, in the train split of the standard salt.</param>
/// <param name="Validation">In the validation split.</param>
/// <param name="Test">In the test split.</param>
/// <param name="HeldOutCaptions">Train concepts whose names are held out.</param>
/// <param name="Pictures">Number of pictures.</param>
/// <param name="PictureSize">Height and width they are kept at.</param>
/// <param name="Styles">Its drawing styles.</param>
/// <param name="Languages">Its languages.</param>
/// <param name="Declarations">Languages that the Universal Declaration of Human Rights is there in.</param>
/// <param name="Sources">Packages with versions and licences.</param>
public sealed record PhotoAlbumSummary(
    int Concepts,
    int Train,
    int Validation,
    int Test,
    int HeldOutCaptions,
    int Pictures,
    int PictureSize,
    IReadOnlyList<PhotoAlbumStyle> Styles,
    IReadOnlyList<PhotoAlbumLanguage> Languages,
    IReadOnlyList<string> Declarations,
    IReadOnlyList<DataSource> Sources);
