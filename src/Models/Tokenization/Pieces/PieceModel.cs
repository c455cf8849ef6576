using System.Runtime.InteropServices;
using CrossAlign.Models.Tokenization.PreTokenizers;

namespace CrossAlign.Models.Tokenization.Pieces;

/// <summary>Cuts one pre-tokenized word into pieces: the <c>model</c> of a <c>tokenizer.json</c>.</summary>
internal abstract class PieceModel : IWordSink
{
    /// <summary>What it is: <c>bpe</c>, <c>unigram</c> or <c>wordpiece</c>.</summary>
    public abstract string Kind { get; }

    /// <summary>One more than the largest id of the model itself, added tokens apart.</summary>
    public abstract int VocabularySize { get; }

    /// <summary>The id of what cannot be spelled; null where there is none.</summary>
    public abstract int? UnknownId { get; }

    /// <summary>The piece of an id, or null.</summary>
    /// <param name="id">The id.</param>
    /// <returns>The piece, or null where the model has none.</returns>
    public abstract string? Piece(int id);

    /// <summary>The id of a piece, or null.</summary>
    /// <param name="piece">The piece.</param>
    /// <returns>The id, or null where the model has no such piece.</returns>
    public abstract int? FindId(string piece);

    /// <summary>Appends the ids of a word (and the pieces, where they are asked for) to the state's lists.</summary>
    /// <param name="word">The word, never empty.</param>
    /// <param name="state">Receives the ids.</param>
    /// <exception cref="UserErrorException">The word is not well-formed UTF-16.</exception>
    public void Accept(ReadOnlySpan<char> word, EncodingState state)
    {
        if (state.Surfaces is not null || word.Length > WordCache.LongestWord)
        {
            EncodeWord(word, state.Ids, state.Surfaces, state);
            return;
        }

        uint hash = WordCache.Hash(word);
        if (state.Cache.TryGet(word, hash, out ReadOnlySpan<int> known, out _))
        {
            state.Ids.AddRange(known);
            return;
        }

        int start = state.Ids.Count;
        EncodeWord(word, state.Ids, null, state);
        state.Cache.Add(word, hash, CollectionsMarshal.AsSpan(state.Ids)[start..]);
    }

    /// <summary>Cuts a word that is not remembered.</summary>
    /// <param name="word">The word, never empty.</param>
    /// <param name="ids">Appended to.</param>
    /// <param name="surfaces">Appended to, where it is present: one piece an id.</param>
    /// <param name="state">Buffers.</param>
    protected abstract void EncodeWord(ReadOnlySpan<char> word, List<int> ids, List<string>? surfaces, EncodingState state);
}
