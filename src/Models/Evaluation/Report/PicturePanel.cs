namespace CrossAlign.Models.Evaluation.Report;

/// <summary>Pictures of one kind, each with the nearest caption in each language, right and wrong ones alike.</summary>
/// <param name="Title">Which pictures these are.</param>
/// <param name="Choice">How they were chosen, and from which captions the nearest is, in a sentence.</param>
/// <param name="Cards">The pictures.</param>
public sealed record PicturePanel(string Title, string Choice, IReadOnlyList<PictureCard> Cards);
