namespace CrossAlign.Models.Evaluation.Report;

/// <summary>A set-up that is compared.</summary>
/// <param name="Name">Its name in the figures: <c>multilingual+quechua</c>.</param>
/// <param name="Title">Its name for people: <c>Multilingual + Quechua</c>.</param>
/// <param name="Description">Who met whom, a sentence.</param>
/// <param name="Languages">The languages whose captions it was trained on.</param>
/// <param name="FromPictures">Whether it learned from pictures, rather than from pairs of texts or not at all.</param>
/// <param name="Family">The published towers it starts from; empty for towers from scratch. Words compare set-ups of one family only.</param>
public sealed record ReportSetup(
    string Name, string Title, string Description, IReadOnlyList<string> Languages, bool FromPictures, string Family = "");
