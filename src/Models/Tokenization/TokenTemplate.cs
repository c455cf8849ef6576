namespace CrossAlign.Models.Tokenization;

/// <summary>What is put around the ids of a text: the <c>post_processor</c> of a <c>tokenizer.json</c>.</summary>
/// <param name="parts">In order, tokens to add and the places of the texts.</param>
internal sealed class TokenTemplate(IReadOnlyList<TokenTemplate.Part> parts)
{
    /// <summary>Nothing around a single text.</summary>
    public static TokenTemplate Plain { get; } = new([new Part(-1, 0, 0)]);

    /// <summary>A pair, one text after the other with nothing between.</summary>
    public static TokenTemplate PlainPair { get; } = new([new Part(-1, 0, 0), new Part(-1, 1, 1)]);

    /// <summary>How many tokens are added.</summary>
    public int AddedCount { get; } = parts.Count(p => p.Id >= 0);

    /// <summary>The tokens and texts in order.</summary>
    public Part[] Parts { get; } = [.. parts];

    /// <summary>The largest id that is added; -1 where there is none.</summary>
    public int LargestId { get; } = parts.Count == 0 ? -1 : parts.Max(p => p.Id);

    /// <summary>One part.</summary>
    /// <param name="Id">The token to add; negative: a text stands here.</param>
    /// <param name="Sequence">Which text, 0 or 1.</param>
    /// <param name="TypeId">The type id of its tokens.</param>
    public readonly record struct Part(int Id, int Sequence, int TypeId);
}
