using System.Collections.Concurrent;
using System.Runtime.InteropServices;
using CrossAlign.Models.Tokenization.Decoders;
using CrossAlign.Models.Tokenization.Normalizers;
using CrossAlign.Models.Tokenization.Pieces;
using CrossAlign.Models.Tokenization.PreTokenizers;

namespace CrossAlign.Models.Tokenization;

/// <summary>
/// The tokenizer that a <c>tokenizer.json</c> describes: added tokens are cut out, the rest is normalised, cut into words, cut into
/// pieces, and special tokens are put around. Gives the same ids as the published tokenizers library.
/// </summary>
/// <remarks>
/// <c>truncation</c> and <c>padding</c> of the file are not applied: the caller says how many tokens a text may have.
/// </remarks>
public sealed class PipelineTokenizer : ITokenizer
{
    /// <summary>How many of a state's buffers the normalizers take turns with.</summary>
    internal const int NormalizerBuffers = 2;

    private readonly byte[] _file;
    private readonly PieceModel _model;
    private readonly TextNormalizer[] _normalizers;
    private readonly PreTokenizer[] _preTokenizers;
    private readonly TokenDecoder[]? _decoders;
    private readonly TokenTemplate _single;
    private readonly TokenTemplate _pair;
    private readonly Dictionary<int, AddedToken> _addedById = [];
    private readonly Dictionary<string, int> _addedByContent = [];
    private readonly AddedTokenMatcher? _rawMatcher;
    private readonly AddedTokenMatcher? _normalizedMatcher;
    private readonly ConcurrentBag<EncodingState> _states = [];

    /// <summary>Puts a tokenizer together.</summary>
    /// <param name="file">The file's bytes, for <see cref="Save"/>.</param>
    /// <param name="parts">What the file describes.</param>
    internal PipelineTokenizer(byte[] file, PipelineParts parts)
    {
        _file = file;
        _model = parts.Model;
        _normalizers = [.. parts.Normalizers];
        _preTokenizers = [.. parts.PreTokenizers];
        _decoders = parts.Decoders?.ToArray();
        _single = parts.Single;
        _pair = parts.Pair;
        VocabularySize = Math.Max(_model.VocabularySize, Math.Max(_single.LargestId, _pair.LargestId) + 1);
        foreach (AddedToken token in parts.AddedTokens)
        {
            _addedById[token.Id] = token;
            _addedByContent[token.Content] = token.Id;
            VocabularySize = Math.Max(VocabularySize, token.Id + 1);
        }

        _rawMatcher = Matcher(parts.AddedTokens.Where(t => !t.Normalized).Select(t => (t.Content, t)));
        _normalizedMatcher = Matcher(parts.AddedTokens.Where(t => t.Normalized).Select(t => (Normalized(t.Content), t)));
        SpecialTokens = new SpecialTokens(
            FindAny("<s>", "[CLS]", "<|startoftext|>"),
            FindAny("<pad>", "[PAD]", "<|endoftext|>"),
            FindAny("</s>", "[SEP]", "<|endoftext|>"),
            _model.UnknownId ?? FindAny("<unk>", "[UNK]"),
            FindAny("<mask>", "[MASK]"));
    }

    /// <inheritdoc/>
    public string Kind => _model.Kind;

    /// <inheritdoc/>
    public int VocabularySize { get; }

    /// <inheritdoc/>
    public SpecialTokens SpecialTokens { get; }

    /// <inheritdoc/>
    public int AddedTokenCount => _single.AddedCount;

    /// <inheritdoc/>
    public string FileName => "tokenizer.json";

    /// <inheritdoc/>
    public bool Encode(ReadOnlySpan<char> text, List<int> ids, int maxTokens = int.MaxValue)
    {
        ArgumentNullException.ThrowIfNull(ids);
        ArgumentOutOfRangeException.ThrowIfLessThan(maxTokens, AddedTokenCount);
        EncodingState state = Rent();
        bool truncated = false;
        foreach (TokenTemplate.Part part in _single.Parts)
        {
            if (part.Id >= 0)
            {
                ids.Add(part.Id);
            }
            else
            {
                truncated |= EncodePlain(text, ids, null, maxTokens - AddedTokenCount, state);
            }
        }

        _states.Add(state);
        return truncated;
    }

    /// <inheritdoc/>
    public TokenizedText Tokenize(ReadOnlySpan<char> text, int maxTokens = int.MaxValue)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(maxTokens, AddedTokenCount);
        return Tokenize(_single, text, default, maxTokens - AddedTokenCount);
    }

    /// <inheritdoc/>
    public TokenizedText TokenizePair(ReadOnlySpan<char> text, ReadOnlySpan<char> pair) => Tokenize(_pair, text, pair, int.MaxValue);

    /// <inheritdoc/>
    public string Decode(ReadOnlySpan<int> ids, bool skipSpecialTokens = true)
    {
        List<string> pieces = new(ids.Length);
        foreach (int id in ids)
        {
            string piece = Piece(id);
            bool special = skipSpecialTokens && _addedByContent.TryGetValue(piece, out int added) && _addedById[added].Special;
            if (piece.Length > 0 && !special)
            {
                pieces.Add(piece);
            }
        }

        if (_decoders is null)
        {
            return string.Join(' ', pieces);
        }

        foreach (TokenDecoder decoder in _decoders)
        {
            pieces = decoder.Decode(pieces);
        }

        return string.Concat(pieces);
    }

    /// <inheritdoc/>
    public string Piece(int id)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(id);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(id, VocabularySize);
        return _addedById.TryGetValue(id, out AddedToken? token) ? token.Content : _model.Piece(id) ?? "";
    }

    /// <inheritdoc/>
    public int? FindId(string piece) => _addedByContent.TryGetValue(piece, out int id) ? id : _model.FindId(piece);

    /// <inheritdoc/>
    public void Save(string path) => AtomicFile.Write(path, stream => stream.Write(_file));

    private static AddedTokenMatcher? Matcher(IEnumerable<(string Spelling, AddedToken Token)> tokens)
    {
        (string Spelling, AddedToken Token)[] all = [.. tokens];
        return all.Length == 0 ? null : new AddedTokenMatcher(all);
    }

    private int? FindAny(params ReadOnlySpan<string> spellings)
    {
        foreach (string spelling in spellings)
        {
            if (FindId(spelling) is int id)
            {
                return id;
            }
        }

        return null;
    }

    private EncodingState Rent() => _states.TryTake(out EncodingState? state) ? state : new EncodingState();

    private TokenizedText Tokenize(TokenTemplate template, ReadOnlySpan<char> text, ReadOnlySpan<char> pair, int maxTokens)
    {
        List<int> ids = [];
        List<int> typeIds = [];
        List<string> pieces = [];
        bool truncated = false;
        EncodingState state = Rent();
        foreach (TokenTemplate.Part part in template.Parts)
        {
            if (part.Id >= 0)
            {
                ids.Add(part.Id);
            }
            else
            {
                truncated |= EncodePlain(part.Sequence == 0 ? text : pair, ids, pieces, maxTokens, state);
            }

            while (typeIds.Count < ids.Count)
            {
                typeIds.Add(part.TypeId);
            }
        }

        _states.Add(state);
        return new TokenizedText { Ids = ids, Pieces = pieces, TypeIds = typeIds, Truncated = truncated };
    }

    /// <summary>Appends the ids of a text without anything around them.</summary>
    private bool EncodePlain(ReadOnlySpan<char> text, List<int> ids, List<string>? surfaces, int maxTokens, EncodingState state)
    {
        int start = ids.Count;
        int surfaceStart = surfaces?.Count ?? 0;
        state.Ids = ids;
        state.Surfaces = surfaces;

        // One more than fits tells that the text must be cut; what comes after it need not be looked at.
        state.Limit = maxTokens >= int.MaxValue - 1 - start ? int.MaxValue : start + maxTokens + 1;
        int at = 0;
        while (!state.IsFull && at < text.Length)
        {
            int end = text.Length;
            int next = end;
            AddedToken? token = _rawMatcher?.Find(text, at, out end, out next);
            if (end > at)
            {
                EncodeSegment(text[at..end], at == 0, state);
            }

            EmitAdded(token, text[end..next], state);
            at = next;
        }

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

    private void EncodeSegment(ReadOnlySpan<char> text, bool atStart, EncodingState state)
    {
        text = Normalize(text, state);
        WordChain chain = new(_preTokenizers, _model, state);
        int at = 0;
        while (_normalizedMatcher is not null && !state.IsFull && at < text.Length)
        {
            AddedToken? token = _normalizedMatcher.Find(text, at, out int end, out int next);
            if (token is null)
            {
                break;
            }

            chain.Accept(text[at..end], atStart && at == 0);
            EmitAdded(token, text[end..next], state);
            at = next;
        }

        chain.Accept(text[at..], atStart && at == 0);
    }

    private static void EmitAdded(AddedToken? token, ReadOnlySpan<char> surface, EncodingState state)
    {
        if (token is not null)
        {
            state.Ids.Add(token.Id);
            state.Surfaces?.Add(surface.ToString());
        }
    }

    private ReadOnlySpan<char> Normalize(ReadOnlySpan<char> text, EncodingState state)
    {
        for (int i = 0; i < _normalizers.Length; i++)
        {
            CharBuffer output = state.Buffer(i % NormalizerBuffers);
            output.Clear();
            _normalizers[i].Normalize(text, output);
            text = output.Written;
        }

        return text;
    }

    private string Normalized(string text) => Normalize(text, new EncodingState()).ToString();
}
