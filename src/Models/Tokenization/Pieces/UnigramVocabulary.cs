using System.Numerics;

namespace CrossAlign.Models.Tokenization.Pieces;

/// <summary>The pieces of a unigram model that text can match, and their scores.</summary>
/// <typeparam name="T">The type of scores.</typeparam>
internal sealed class UnigramVocabulary<T>
    where T : struct, IFloatingPointIeee754<T>
{
    private readonly T[] _scores;

    /// <summary>Puts a vocabulary together.</summary>
    /// <param name="trie">The pieces; its values index the scores.</param>
    /// <param name="scores">The logarithm of each piece's probability, by id.</param>
    /// <param name="unknownScore">The score of a character that no piece spells.</param>
    /// <param name="unknownId">The id of such a character; -1 where there is none.</param>
    public UnigramVocabulary(PieceTrie trie, T[] scores, T unknownScore, int unknownId)
    {
        Trie = trie;
        _scores = scores;
        UnknownScore = unknownScore;
        UnknownId = unknownId;
    }

    /// <summary>The pieces.</summary>
    public PieceTrie Trie { get; }

    /// <summary>The scores by id.</summary>
    public ReadOnlySpan<T> Scores => _scores;

    /// <summary>The score of a character that no piece spells.</summary>
    public T UnknownScore { get; }

    /// <summary>The id of such a character; -1 where there is none.</summary>
    public int UnknownId { get; }
}
