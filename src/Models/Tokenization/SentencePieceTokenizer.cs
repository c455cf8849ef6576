using System.Collections.Concurrent;
using System.Runtime.InteropServices;
using System.Text;
using CrossAlign.Models.Tokenization.Pieces;

namespace CrossAlign.Models.Tokenization;

/// <summary>
/// A SentencePiece unigram model (<c>sentencepiece.bpe.model</c>) with XLM-R's numbering and its <c>&lt;s&gt; ... &lt;/s&gt;</c>. Gives the same pieces
/// as the SentencePiece library, with which XLM-R was pre-trained; where that differs from <c>tokenizer.json</c>, this one is what the
/// model saw.
/// </summary>
/// <remarks>
/// Ids: <c>&lt;s&gt;</c> 0, <c>&lt;pad&gt;</c> 1, <c>&lt;/s&gt;</c> 2, <c>&lt;unk&gt;</c> 3, piece k of the file (k at least 3) is k + 1, <c>&lt;mask&gt;</c> last.
/// </remarks>
public sealed partial class SentencePieceTokenizer : ITokenizer
{
    private const int Begin = 0;
    private const int Pad = 1;
    private const int End = 2;
    private const int Unknown = 3;
    private const char VisibleSpace = '▁';

    private readonly byte[] _file;
    private readonly SentencePieceModel _model;
    private readonly string[] _pieces;
    private readonly Dictionary<string, int> _ids = [];
    private readonly UnigramVocabulary<float> _vocabulary;
    private readonly PieceTrie? _userDefined;
    private readonly int[] _byteIds = new int[256];
    private readonly bool _wordByWord;
    private readonly ConcurrentBag<EncodingState> _states = [];

    /// <summary>Makes a tokenizer.</summary>
    /// <param name="file">The file's bytes, for <see cref="Save"/>.</param>
    /// <param name="model">What the file holds.</param>
    internal SentencePieceTokenizer(byte[] file, SentencePieceModel model)
    {
        _file = file;
        _model = model;
        VocabularySize = model.Pieces.Count + 2;
        _pieces = new string[VocabularySize];
        _pieces[Pad] = "<pad>";
        _pieces[^1] = "<mask>";
        float[] scores = new float[VocabularySize];
        List<byte[]> keys = [];
        List<int> values = [];
        List<byte[]> userKeys = [];
        List<int> userValues = [];
        bool wordsAreIndependent = true;
        float smallest = float.MaxValue;
        float largest = 1.17549435e-38f;
        for (int fileId = 0; fileId < model.Pieces.Count; fileId++)
        {
            SentencePieceModel.Piece piece = model.Pieces[fileId];
            int id = FromFileId(fileId);
            _pieces[id] = piece.Text;
            scores[id] = piece.Score;
            if (piece.Kind == SentencePieceModel.PieceKind.Normal)
            {
                smallest = Math.Min(smallest, piece.Score);
                largest = Math.Max(largest, piece.Score);
                wordsAreIndependent &= piece.Score <= 0 && piece.Text.LastIndexOf(VisibleSpace) <= 0;
            }

            if (piece.Kind is SentencePieceModel.PieceKind.Normal or SentencePieceModel.PieceKind.UserDefined)
            {
                keys.Add(piece.Utf8);
                values.Add(id);
            }

            if (piece.Kind == SentencePieceModel.PieceKind.UserDefined)
            {
                userKeys.Add(piece.Utf8);
                userValues.Add(id);
            }
        }

        // A user-defined piece always wins: its score grows with its length.
        for (int i = 0; i < userKeys.Count; i++)
        {
            scores[userValues[i]] = (float)((userKeys[i].Length * largest) - 0.1);
        }

        for (int id = 0; id < _pieces.Length; id++)
        {
            _ids[_pieces[id]] = id;
        }

        for (int b = 0; b < 256; b++)
        {
            _byteIds[b] = _ids.TryGetValue(BytePiece.Of((byte)b), out int id) ? id : Unknown;
        }

        smallest = smallest == float.MaxValue ? 0 : smallest;
        _vocabulary = new UnigramVocabulary<float>(new PieceTrie(keys, values), scores, smallest - (float)UnigramModel.UnknownPenalty, Unknown);
        _userDefined = userKeys.Count == 0 ? null : new PieceTrie(userKeys, userValues);
        _wordByWord = wordsAreIndependent && _userDefined is null && model.AddDummyPrefix && model.RemoveExtraWhiteSpace
            && model.EscapeWhiteSpace && !model.WhiteSpaceAsSuffix && (model.CharacterMap?.SpaceIsOrdinary ?? true);
    }

    /// <inheritdoc/>
    public string Kind => "sentencepiece";

    /// <inheritdoc/>
    public int VocabularySize { get; }

    /// <inheritdoc/>
    public SpecialTokens SpecialTokens => new(Begin, Pad, End, Unknown, VocabularySize - 1);

    /// <inheritdoc/>
    public int AddedTokenCount => 2;

    /// <inheritdoc/>
    public string FileName => "sentencepiece.bpe.model";

    /// <inheritdoc/>
    public bool Encode(ReadOnlySpan<char> text, List<int> ids, int maxTokens = int.MaxValue)
    {
        ArgumentNullException.ThrowIfNull(ids);
        ArgumentOutOfRangeException.ThrowIfLessThan(maxTokens, AddedTokenCount);
        ids.Add(Begin);
        bool truncated = EncodePlain(text, ids, null, maxTokens - AddedTokenCount);
        ids.Add(End);
        return truncated;
    }

    /// <inheritdoc/>
    public TokenizedText Tokenize(ReadOnlySpan<char> text, int maxTokens = int.MaxValue)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(maxTokens, AddedTokenCount);
        List<int> ids = [Begin];
        List<string> pieces = [];
        bool truncated = EncodePlain(text, ids, pieces, maxTokens - AddedTokenCount);
        ids.Add(End);
        return new TokenizedText
        {
            Ids = ids,
            Pieces = pieces,
            TypeIds = new int[ids.Count],
            FileIds = [.. ids.Skip(1).SkipLast(1).Select(ToFileId)],
            Truncated = truncated,
        };
    }

    /// <inheritdoc/>
    public TokenizedText TokenizePair(ReadOnlySpan<char> text, ReadOnlySpan<char> pair)
    {
        List<int> ids = [Begin];
        List<string> pieces = [];
        EncodePlain(text, ids, pieces, int.MaxValue);
        ids.AddRange((ReadOnlySpan<int>)[End, End]);
        EncodePlain(pair, ids, pieces, int.MaxValue);
        ids.Add(End);
        return new TokenizedText { Ids = ids, Pieces = pieces, TypeIds = new int[ids.Count] };
    }

    /// <inheritdoc/>
    public string Decode(ReadOnlySpan<int> ids, bool skipSpecialTokens = true)
    {
        StringBuilder text = new();
        List<byte> bytes = [];
        foreach (int id in ids)
        {
            string piece = Piece(id);
            if (_model.ByteFallback && BytePiece.TryParse(piece, out byte value))
            {
                bytes.Add(value);
                continue;
            }

            FlushBytes(bytes, text);
            if (id is Begin or Pad or End || id == VocabularySize - 1)
            {
                text.Append(skipSpecialTokens ? "" : piece);
            }
            else if (id == Unknown)
            {
                text.Append(_model.UnknownSurface);
            }
            else
            {
                // The visible space that encoding put in front of the text.
                bool added = text.Length == 0 && (_model.AddDummyPrefix || _model.RemoveExtraWhiteSpace) && piece[0] == VisibleSpace;
                text.Append(piece.Replace(VisibleSpace, ' ').AsSpan(added ? 1 : 0));
            }
        }

        FlushBytes(bytes, text);
        return text.ToString();
    }

    /// <inheritdoc/>
    public string Piece(int id)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(id);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(id, VocabularySize);
        return _pieces[id];
    }

    /// <inheritdoc/>
    public int? FindId(string piece) => _ids.TryGetValue(piece, out int id) ? id : null;

    /// <inheritdoc/>
    public void Save(string path) => AtomicFile.Write(path, stream => stream.Write(_file));

    /// <summary>An id of the file's own numbering in the checkpoint's.</summary>
    /// <param name="fileId">The id in the file.</param>
    /// <returns>The id in the checkpoint.</returns>
    internal static int FromFileId(int fileId) => fileId switch
    {
        0 => Unknown,
        1 => Begin,
        2 => End,
        _ => fileId + 1,
    };

    private static int ToFileId(int id) => id switch
    {
        Unknown => 0,
        Begin => 1,
        End => 2,
        _ => id - 1,
    };

    private static void FlushBytes(List<byte> bytes, StringBuilder text)
    {
        // Well-formed sequences become characters, every other byte U+FFFD.
        ReadOnlySpan<byte> rest = CollectionsMarshal.AsSpan(bytes);
        while (!rest.IsEmpty)
        {
            bool sound = Rune.DecodeFromUtf8(rest, out Rune rune, out int length) == System.Buffers.OperationStatus.Done;
            text.Append(sound ? rune.ToString() : "\uFFFD");
            rest = rest[(sound ? length : 1)..];
        }

        bytes.Clear();
    }

    private bool EncodePlain(ReadOnlySpan<char> text, List<int> ids, List<string>? surfaces, int maxTokens)
    {
        EncodingState state = _states.TryTake(out EncodingState? known) ? known : new EncodingState();
        SentencePieceScratch scratch = (SentencePieceScratch)(state.ModelScratch ??= new SentencePieceScratch(_model, _userDefined));
        int start = ids.Count;
        int surfaceStart = surfaces?.Count ?? 0;
        state.Ids = ids;
        state.Surfaces = surfaces;
        state.Limit = maxTokens >= int.MaxValue - 1 - start ? int.MaxValue : start + maxTokens + 1;
        scratch.AfterUnknown = false;
        if (_wordByWord && surfaces is null && !text.Contains(VisibleSpace))
        {
            EncodeWords(text, state, scratch);
        }
        else
        {
            ReadOnlySpan<byte> normalized = scratch.Normalizer.Normalize(state.ToUtf8(text));
            scratch.Lattice.Run(_vocabulary, normalized, 0);
            Emit(scratch.Lattice.Path, normalized, state, scratch);
        }

        _states.Add(state);
        bool truncated = ids.Count - start > maxTokens;
        if (truncated)
        {
            CollectionsMarshal.SetCount(ids, start + maxTokens);
            if (surfaces is not null)
            {
                CollectionsMarshal.SetCount(surfaces, surfaceStart + maxTokens);
            }
        }

        return truncated;
    }

    /// <summary>Appends the ids of a path; tells whether there was an unknown piece.</summary>
    private bool Emit(ReadOnlySpan<UnigramLattice<float>.Segment> path, ReadOnlySpan<byte> normalized, EncodingState state, SentencePieceScratch scratch)
    {
        bool hasUnknown = false;
        foreach (UnigramLattice<float>.Segment segment in path)
        {
            bool unknown = segment.Id == Unknown;
            hasUnknown |= unknown;
            if (!unknown)
            {
                state.Ids.Add(segment.Id);
                state.Surfaces?.Add(_pieces[segment.Id]);
            }
            else if (_model.ByteFallback)
            {
                foreach (byte b in normalized[segment.Start..segment.End])
                {
                    state.Ids.Add(_byteIds[b]);
                    state.Surfaces?.Add(_pieces[_byteIds[b]]);
                }
            }
            else
            {
                AddUnknown(normalized[segment.Start..segment.End], scratch.AfterUnknown, state);
            }

            scratch.AfterUnknown = unknown;
        }

        return hasUnknown;
    }

    /// <summary>Unknown neighbours are one unknown piece.</summary>
    private static void AddUnknown(ReadOnlySpan<byte> utf8, bool afterUnknown, EncodingState state)
    {
        if (!afterUnknown)
        {
            state.Ids.Add(Unknown);
        }

        if (state.Surfaces is List<string> surfaces)
        {
            string letters = Encoding.UTF8.GetString(utf8);
            if (afterUnknown)
            {
                surfaces[^1] += letters;
            }
            else
            {
                surfaces.Add(letters);
            }
        }
    }

    /// <summary>What one thread needs: a normaliser and a lattice with their buffers.</summary>
    private sealed class SentencePieceScratch(SentencePieceModel model, PieceTrie? userDefined)
    {
        public SentencePieceNormalizer Normalizer { get; } = new(model, userDefined);

        public UnigramLattice<float> Lattice { get; } = new();

        /// <summary>Whether the last piece was unknown.</summary>
        public bool AfterUnknown { get; set; }
    }
}
