namespace CrossAlign.Models.Evaluation;

/// <summary>How texts are cut into character n-grams and weighted.</summary>
/// <param name="Shortest">The shortest n-gram, in code points.</param>
/// <param name="Longest">The longest n-gram, in code points.</param>
/// <param name="InsideWords">
/// Whether n-grams stay inside words padded with one space on either side (scikit-learn's <c>char_wb</c>) or run over the text as it
/// is (<c>char</c>, where runs of white space count as one space).
/// </param>
/// <param name="Sublinear">Whether an n-gram that occurs c times in a text counts 1 + ln c there, or c.</param>
public sealed record NGramOptions(int Shortest, int Longest, bool InsideWords, bool Sublinear)
{
    /// <summary>The baseline beside every bitext figure: 1- to 4-grams inside padded words, sublinear.</summary>
    public static NGramOptions Album { get; } = new(1, 4, InsideWords: true, Sublinear: true);

    /// <summary>scikit-learn's <c>TfidfVectorizer(analyzer="char", ngram_range=(1, 4))</c>: across words, raw counts.</summary>
    public static NGramOptions AcrossWords { get; } = new(1, 4, InsideWords: false, Sublinear: false);
}
