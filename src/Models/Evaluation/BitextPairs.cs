using CrossAlign.Models.Data;

namespace CrossAlign.Models.Evaluation;

/// <summary>Texts of two languages that say the same, row by row, with their vectors.</summary>
public sealed class BitextPairs
{
    /// <summary>Puts pairs together.</summary>
    /// <param name="source">The language that is evaluated: <c>qu</c>.</param>
    /// <param name="target">The language it is paired with: <c>en</c>.</param>
    /// <param name="set">The name of the set: <c>seen</c>.</param>
    /// <param name="sourceTexts">n normalised texts.</param>
    /// <param name="targetTexts">n normalised texts.</param>
    /// <param name="sourceEmbeddings">(n, E) vectors.</param>
    /// <param name="targetEmbeddings">(n, E) vectors.</param>
    /// <exception cref="ArgumentException">The numbers of rows differ.</exception>
    public BitextPairs(
        string source,
        string target,
        string set,
        IReadOnlyList<string> sourceTexts,
        IReadOnlyList<string> targetTexts,
        EmbeddingMatrix sourceEmbeddings,
        EmbeddingMatrix targetEmbeddings)
    {
        ArgumentNullException.ThrowIfNull(sourceTexts);
        ArgumentNullException.ThrowIfNull(targetTexts);
        ArgumentNullException.ThrowIfNull(sourceEmbeddings);
        ArgumentNullException.ThrowIfNull(targetEmbeddings);
        int n = sourceTexts.Count;
        if (targetTexts.Count != n || sourceEmbeddings.Rows != n || targetEmbeddings.Rows != n)
        {
            throw new ArgumentException(
                $"{n} and {targetTexts.Count} texts with {sourceEmbeddings.Rows} and {targetEmbeddings.Rows} vectors do not pair up.",
                nameof(targetTexts));
        }

        Source = source;
        Target = target;
        Set = set;
        SourceTexts = sourceTexts;
        TargetTexts = targetTexts;
        SourceEmbeddings = sourceEmbeddings;
        TargetEmbeddings = targetEmbeddings;
        NotIdentical = [.. Enumerable.Range(0, n).Where(i => CaptionText.IsNotIdentical(sourceTexts[i], targetTexts[i]))];
    }

    /// <summary>The language that is evaluated.</summary>
    public string Source { get; }

    /// <summary>The language it is paired with.</summary>
    public string Target { get; }

    /// <summary>The name of the set.</summary>
    public string Set { get; }

    /// <summary>n normalised texts.</summary>
    public IReadOnlyList<string> SourceTexts { get; }

    /// <summary>n normalised texts.</summary>
    public IReadOnlyList<string> TargetTexts { get; }

    /// <summary>(n, E) vectors.</summary>
    public EmbeddingMatrix SourceEmbeddings { get; }

    /// <summary>(n, E) vectors.</summary>
    public EmbeddingMatrix TargetEmbeddings { get; }

    /// <summary>The pairs whose texts differ.</summary>
    public IReadOnlyList<int> NotIdentical { get; }

    /// <summary>The strict pairs; null where the set does not know which these are, and no figure is made for them.</summary>
    public IReadOnlyList<int>? Strict { get; init; }

    /// <summary>Pairs with the same number show the same thing and are right for each other; null where each stands alone.</summary>
    public IReadOnlyList<int>? Groups { get; init; }
}
