using System.Text;
using CrossAlign.Models;
using CrossAlign.Models.Tokenization;
using Microsoft.ML.Tokenizers;
using LibraryTokenizer = Microsoft.ML.Tokenizers.SentencePieceTokenizer;

namespace CrossAlign.Integrations.MLTokenizers;

/// <summary>
/// A SentencePiece unigram model run by Microsoft.ML.Tokenizers, in XLM-R's numbering: <c>&lt;s&gt;</c> 0, <c>&lt;pad&gt;</c> 1, <c>&lt;/s&gt;</c> 2,
/// <c>&lt;unk&gt;</c> 3, piece k of the file is k + 1, <c>&lt;mask&gt;</c> last. For those who use that library already; the project's own
/// <see cref="CrossAlign.Models.Tokenization.SentencePieceTokenizer"/> is compared with the C++ library's ids, this one is not.
/// </summary>
public sealed class MLSentencePieceTokenizer : ITokenizer
{
    private const int Begin = 0;
    private const int Pad = 1;
    private const int End = 2;
    private const int Unknown = 3;

    private readonly string _path;
    private readonly LibraryTokenizer _library;
    private readonly string[] _pieces;

    private MLSentencePieceTokenizer(string path, LibraryTokenizer library)
    {
        _path = path;
        _library = library;
        int count = library.Vocabulary.Values.Max() + 1;
        _pieces = new string[count + 2];
        Array.Fill(_pieces, "");
        foreach ((string piece, int fileId) in library.Vocabulary)
        {
            _pieces[FromFileId(fileId)] = piece;
        }

        _pieces[Pad] = "<pad>";
        _pieces[^1] = "<mask>";
    }

    /// <inheritdoc/>
    public string Kind => "ml-sentencepiece";

    /// <inheritdoc/>
    public int VocabularySize => _pieces.Length;

    /// <inheritdoc/>
    public SpecialTokens SpecialTokens => new(Begin, Pad, End, Unknown, VocabularySize - 1);

    /// <inheritdoc/>
    public int AddedTokenCount => 2;

    /// <inheritdoc/>
    public string FileName => "sentencepiece.bpe.model";

    /// <summary>Loads a model.</summary>
    /// <param name="path">The <c>sentencepiece.bpe.model</c>.</param>
    /// <returns>The tokenizer.</returns>
    /// <exception cref="UserErrorException">The file cannot be read.</exception>
    public static MLSentencePieceTokenizer Load(string path)
    {
        try
        {
            using FileStream stream = File.OpenRead(path);
            return new MLSentencePieceTokenizer(path, LibraryTokenizer.Create(stream, addBeginOfSentence: false, addEndOfSentence: false));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException or InvalidOperationException)
        {
            throw new UserErrorException($"the tokenizer '{path}' cannot be read: {e.Message}", "name a SentencePiece unigram model", e);
        }
    }

    /// <inheritdoc/>
    public bool Encode(ReadOnlySpan<char> text, List<int> ids, int maxTokens = int.MaxValue)
    {
        ArgumentNullException.ThrowIfNull(ids);
        ArgumentOutOfRangeException.ThrowIfLessThan(maxTokens, AddedTokenCount);
        ids.Add(Begin);
        bool truncated = Append(text, ids, null, maxTokens - AddedTokenCount);
        ids.Add(End);
        return truncated;
    }

    /// <inheritdoc/>
    public TokenizedText Tokenize(ReadOnlySpan<char> text, int maxTokens = int.MaxValue)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(maxTokens, AddedTokenCount);
        List<int> ids = [Begin];
        List<string> pieces = [];
        bool truncated = Append(text, ids, pieces, maxTokens - AddedTokenCount);
        ids.Add(End);
        return new TokenizedText { Ids = ids, Pieces = pieces, TypeIds = new int[ids.Count], Truncated = truncated };
    }

    /// <inheritdoc/>
    public TokenizedText TokenizePair(ReadOnlySpan<char> text, ReadOnlySpan<char> pair)
    {
        List<int> ids = [Begin];
        List<string> pieces = [];
        Append(text, ids, pieces, int.MaxValue);
        ids.AddRange([End, End]);
        Append(pair, ids, pieces, int.MaxValue);
        ids.Add(End);
        return new TokenizedText { Ids = ids, Pieces = pieces, TypeIds = new int[ids.Count] };
    }

    /// <inheritdoc/>
    public string Decode(ReadOnlySpan<int> ids, bool skipSpecialTokens = true)
    {
        StringBuilder text = new();
        List<int> run = [];
        foreach (int id in ids)
        {
            string piece = Piece(id);
            if (id is Begin or Pad or End || id == VocabularySize - 1)
            {
                text.Append(_library.Decode(run));
                run.Clear();
                text.Append(skipSpecialTokens ? "" : piece);
            }
            else
            {
                run.Add(id == Unknown ? 0 : id - 1);
            }
        }

        return text.Append(_library.Decode(run)).ToString();
    }

    /// <inheritdoc/>
    public string Piece(int id)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(id);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(id, VocabularySize);
        return _pieces[id];
    }

    /// <inheritdoc/>
    public int? FindId(string piece) => piece switch
    {
        "<pad>" => Pad,
        "<mask>" => VocabularySize - 1,
        _ => _library.Vocabulary.TryGetValue(piece, out int fileId) ? FromFileId(fileId) : null,
    };

    /// <inheritdoc/>
    public void Save(string path) => AtomicFile.Write(path, stream =>
    {
        using FileStream file = File.OpenRead(_path);
        file.CopyTo(stream);
    });

    private static int FromFileId(int fileId) => fileId switch
    {
        0 => Unknown,
        1 => Begin,
        2 => End,
        _ => fileId + 1,
    };

    private bool Append(ReadOnlySpan<char> text, List<int> ids, List<string>? pieces, int maxTokens)
    {
        IReadOnlyList<EncodedToken> tokens = _library.EncodeToTokens(text, out _);
        foreach (EncodedToken token in tokens.Take(maxTokens))
        {
            ids.Add(FromFileId(token.Id));
            pieces?.Add(token.Value);
        }

        return tokens.Count > maxTokens;
    }
}
