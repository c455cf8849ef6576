using System.Text;
using Google.Protobuf;

namespace CrossAlign.Models.Tokenization;

/// <summary>
/// Reads a SentencePiece <c>.model</c> file (a protocol buffer). Whatever the file holds, the outcome is a model or an error that
/// names the file and what is wrong.
/// </summary>
internal sealed class SentencePieceModelReader
{
    private const string Damaged = "download the file again";
    private const int Unigram = 1;
    private static readonly UTF8Encoding s_strict = new(false, throwOnInvalidBytes: true);

    private readonly string _name;
    private readonly List<SentencePieceModel.Piece> _pieces = [];
    private CharacterMap? _characterMap;
    private bool _addDummyPrefix = true;
    private bool _removeExtraWhiteSpace = true;
    private bool _escapeWhiteSpace = true;
    private bool _whiteSpaceAsSuffix;
    private bool _byteFallback;
    private int _modelType = Unigram;
    private string _unknownSurface = " \u2047 ";

    private SentencePieceModelReader(string name) => _name = name;

    /// <summary>Reads a model.</summary>
    /// <param name="file">The file's bytes.</param>
    /// <param name="name">The file's name, for messages.</param>
    /// <returns>The model.</returns>
    /// <exception cref="UserErrorException">The file is damaged, or of a kind that is not supported.</exception>
    public static SentencePieceModel Read(byte[] file, string name)
    {
        SentencePieceModelReader reader = new(name);
        try
        {
            reader.ReadModel(new CodedInputStream(file));
        }
        catch (Exception e) when (e is InvalidProtocolBufferException or DecoderFallbackException)
        {
            throw new UserErrorException($"'{name}' is not a SentencePiece model, or is damaged: {e.Message}", Damaged, e);
        }

        return reader.Checked();
    }

    private static void Fields(ByteString message, Func<int, CodedInputStream, bool> read)
    {
        CodedInputStream input = message.CreateCodedInput();
        uint tag;
        while ((tag = input.ReadTag()) != 0)
        {
            if (!read(WireFormat.GetTagFieldNumber(tag), input))
            {
                input.SkipLastField();
            }
        }
    }

    private void ReadModel(CodedInputStream input)
    {
        uint tag;
        while ((tag = input.ReadTag()) != 0)
        {
            bool message = WireFormat.GetTagWireType(tag) == WireFormat.WireType.LengthDelimited;
            switch (message ? WireFormat.GetTagFieldNumber(tag) : 0)
            {
                case 1:
                    ReadPiece(input.ReadBytes());
                    break;
                case 2:
                    Fields(input.ReadBytes(), ReadTrainerField);
                    break;
                case 3:
                    Fields(input.ReadBytes(), ReadNormalizerField);
                    break;
                case 5:
                    Fields(input.ReadBytes(), ReadDenormalizerField);
                    break;
                default:
                    input.SkipLastField();
                    break;
            }
        }
    }

    private void ReadPiece(ByteString message)
    {
        byte[] utf8 = [];
        float score = 0;
        SentencePieceModel.PieceKind kind = SentencePieceModel.PieceKind.Normal;
        CodedInputStream input = message.CreateCodedInput();
        uint tag;
        while ((tag = input.ReadTag()) != 0)
        {
            switch (tag)
            {
                case (1 << 3) | (uint)WireFormat.WireType.LengthDelimited:
                    utf8 = input.ReadBytes().ToByteArray();
                    break;
                case (2 << 3) | (uint)WireFormat.WireType.Fixed32:
                    score = input.ReadFloat();
                    break;
                case (3 << 3) | (uint)WireFormat.WireType.Varint:
                    kind = (SentencePieceModel.PieceKind)input.ReadEnum();
                    break;
                default:
                    input.SkipLastField();
                    break;
            }
        }

        string text = s_strict.GetString(utf8);
        if (utf8.Length == 0 || !float.IsFinite(score) || !Enum.IsDefined(kind))
        {
            throw Bad(FormattableString.Invariant($"piece {_pieces.Count} is empty, has no finite score, or is of an unknown kind"));
        }

        _pieces.Add(new SentencePieceModel.Piece(text, utf8, score, kind));
    }

    private bool ReadTrainerField(int field, CodedInputStream input)
    {
        switch (field)
        {
            case 3:
                _modelType = input.ReadEnum();
                return true;
            case 24:
                _whiteSpaceAsSuffix = input.ReadBool();
                return true;
            case 35:
                _byteFallback = input.ReadBool();
                return true;
            case 44:
                _unknownSurface = s_strict.GetString(input.ReadBytes().Span);
                return true;
            default:
                return false;
        }
    }

    private bool ReadNormalizerField(int field, CodedInputStream input)
    {
        switch (field)
        {
            case 2:
                _characterMap = CharacterMap.Read(input.ReadBytes().Span, _name);
                return true;
            case 3:
                _addDummyPrefix = input.ReadBool();
                return true;
            case 4:
                _removeExtraWhiteSpace = input.ReadBool();
                return true;
            case 5:
                _escapeWhiteSpace = input.ReadBool();
                return true;
            default:
                return false;
        }
    }

    private bool ReadDenormalizerField(int field, CodedInputStream input)
    {
        if (field == 2 && !input.ReadBytes().IsEmpty)
        {
            throw Bad("it has a denormalizer, which is not supported");
        }

        return field == 2;
    }

    private SentencePieceModel Checked()
    {
        if (_pieces.Count == 0)
        {
            throw new UserErrorException($"'{_name}' is not a SentencePiece model: it has no pieces", Damaged);
        }

        if (_modelType != Unigram)
        {
            string type = _modelType switch { 2 => "BPE", 3 => "word", 4 => "character", _ => "unknown" };
            throw new UserErrorException($"'{_name}': the model type is {type}, only unigram is supported", "use the tokenizer.json of the same model");
        }

        // XLM-R's numbering of ids is defined on this layout; others (T5's, say) would get wrong rows of the word embedding.
        if (_pieces.Count < 3 || _pieces[0].Kind != SentencePieceModel.PieceKind.Unknown
            || _pieces[1].Kind != SentencePieceModel.PieceKind.Control || _pieces[2].Kind != SentencePieceModel.PieceKind.Control)
        {
            throw new UserErrorException(
                $"'{_name}': the first three pieces are not <unk>, <s>, </s>, as in XLM-R's models",
                "use the tokenizer.json of the same model, which says its ids itself");
        }

        HashSet<string> seen = [];
        foreach (SentencePieceModel.Piece piece in _pieces)
        {
            if (!seen.Add(piece.Text))
            {
                throw Bad($"the piece '{piece.Text}' is there twice");
            }
        }

        return new SentencePieceModel
        {
            Pieces = _pieces,
            CharacterMap = _characterMap,
            AddDummyPrefix = _addDummyPrefix,
            RemoveExtraWhiteSpace = _removeExtraWhiteSpace,
            EscapeWhiteSpace = _escapeWhiteSpace,
            WhiteSpaceAsSuffix = _whiteSpaceAsSuffix,
            ByteFallback = _byteFallback,
            UnknownSurface = _unknownSurface,
        };
    }

    private UserErrorException Bad(string what) => new($"'{_name}': {what}", Damaged);
}
