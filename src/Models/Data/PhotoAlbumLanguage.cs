namespace CrossAlign.Models.Data;

/// <summary>A language of the photo album.</summary>
/// <param name="Code">Its code.</param>
/// <param name="Names">How many concepts it names.</param>
/// <param name="KeywordsPerConcept">Mean number of keywords of the concepts it names.</param>
/// <param name="WithoutKeywords">Named concepts without any.</param>
/// <param name="StrictSeen">Strict queries among the seen concepts of the standard split.</param>
public sealed record PhotoAlbumLanguage(string Code, int Names, double KeywordsPerConcept, int WithoutKeywords, int StrictSeen);
