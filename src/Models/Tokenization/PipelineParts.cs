using CrossAlign.Models.Tokenization.Decoders;
using CrossAlign.Models.Tokenization.Normalizers;
using CrossAlign.Models.Tokenization.Pieces;
using CrossAlign.Models.Tokenization.PreTokenizers;

namespace CrossAlign.Models.Tokenization;

/// <summary>The parts that a <c>tokenizer.json</c> describes.</summary>
internal sealed class PipelineParts
{
    /// <summary>Cuts words into pieces.</summary>
    public required PieceModel Model { get; init; }

    /// <summary>Tokens that are cut out before anything else.</summary>
    public required IReadOnlyList<AddedToken> AddedTokens { get; init; }

    /// <summary>Rewrite a text, in order.</summary>
    public required IReadOnlyList<TextNormalizer> Normalizers { get; init; }

    /// <summary>Cut a text into words, in order.</summary>
    public required IReadOnlyList<PreTokenizer> PreTokenizers { get; init; }

    /// <summary>Put pieces together, in order; null: they are joined by spaces.</summary>
    public required IReadOnlyList<TokenDecoder>? Decoders { get; init; }

    /// <summary>What is put around a text.</summary>
    public required TokenTemplate Single { get; init; }

    /// <summary>What is put around a pair.</summary>
    public required TokenTemplate Pair { get; init; }
}
