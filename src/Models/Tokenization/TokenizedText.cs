namespace CrossAlign.Models.Tokenization;

/// <summary>A text, or a pair of texts, as tokens.</summary>
public sealed class TokenizedText
{
    /// <summary>The ids in the checkpoint's numbering, with the tokens put around the text.</summary>
    public required IReadOnlyList<int> Ids { get; init; }

    /// <summary>The pieces of the text alone, without the tokens put around it; an unknown piece keeps the letters of the text.</summary>
    public required IReadOnlyList<string> Pieces { get; init; }

    /// <summary>Which text of a pair each id belongs to, as the model wants it (all 0 for XLM-R).</summary>
    public required IReadOnlyList<int> TypeIds { get; init; }

    /// <summary>For a SentencePiece file, the ids of <see cref="Pieces"/> in the file's own numbering; otherwise null.</summary>
    public IReadOnlyList<int>? FileIds { get; init; }

    /// <summary>Whether the text was cut to fit.</summary>
    public bool Truncated { get; init; }
}
