using CrossAlign.Models.Tokenization.Pieces;

namespace CrossAlign.Models.Tokenization;

/// <summary>
/// SentencePiece's normaliser: at each place the longest sequence of the character map, else the character itself; then the rules
/// for white space. Works on UTF-8.
/// </summary>
internal sealed class SentencePieceNormalizer
{
    private readonly SentencePieceModel _model;
    private readonly CharacterMap? _map;
    private readonly PieceTrie? _userDefined;
    private byte[] _output = new byte[256];

    /// <summary>Makes a normaliser; one thread at a time may use it.</summary>
    /// <param name="model">The rules.</param>
    /// <param name="userDefined">Pieces that are left as they are; null where there are none.</param>
    public SentencePieceNormalizer(SentencePieceModel model, PieceTrie? userDefined)
    {
        _model = model;
        _map = model.CharacterMap;
        _userDefined = userDefined;
    }

    private static ReadOnlySpan<byte> VisibleSpace => "▁"u8;

    /// <summary>Normalises a text.</summary>
    /// <param name="text">The text, well-formed.</param>
    /// <returns>The normalised text, valid until the next call.</returns>
    public ReadOnlySpan<byte> Normalize(ReadOnlySpan<byte> text)
    {
        int length = 0;
        if (_model.RemoveExtraWhiteSpace)
        {
            text = SkipLeadingSpaces(text);
        }

        // Of nothing comes nothing: no dummy prefix either.
        if (text.IsEmpty)
        {
            return default;
        }

        if (_model.AddDummyPrefix && !_model.WhiteSpaceAsSuffix)
        {
            AppendSpace(ref length);
        }

        bool afterSpace = _model.RemoveExtraWhiteSpace;
        while (!text.IsEmpty)
        {
            int consumed = Next(text, out ReadOnlySpan<byte> value);
            text = text[consumed..];
            while (afterSpace && value.Length > 0 && value[0] == ' ')
            {
                value = value[1..];
            }

            if (value.Length > 0)
            {
                foreach (byte b in value)
                {
                    if (b == ' ')
                    {
                        AppendSpace(ref length);
                    }
                    else
                    {
                        Reserve(length + 1);
                        _output[length++] = b;
                    }
                }

                afterSpace = value[^1] == ' ';
            }

            afterSpace &= _model.RemoveExtraWhiteSpace;
        }

        ReadOnlySpan<byte> space = _model.EscapeWhiteSpace ? VisibleSpace : " "u8;
        while (_model.RemoveExtraWhiteSpace && _output.AsSpan(0, length).EndsWith(space))
        {
            length -= space.Length;
        }

        if (_model.AddDummyPrefix && _model.WhiteSpaceAsSuffix)
        {
            AppendSpace(ref length);
        }

        return _output.AsSpan(0, length);
    }

    private ReadOnlySpan<byte> SkipLeadingSpaces(ReadOnlySpan<byte> text)
    {
        while (!text.IsEmpty)
        {
            int consumed = Next(text, out ReadOnlySpan<byte> value);
            if (!value.SequenceEqual(" "u8))
            {
                break;
            }

            text = text[consumed..];
        }

        return text;
    }

    /// <summary>The replacement of what stands at the beginning of a text, and how many bytes it replaces.</summary>
    private int Next(ReadOnlySpan<byte> text, out ReadOnlySpan<byte> value)
    {
        int kept = _userDefined?.LongestPrefix(text, out _) ?? 0;
        if (kept > 0)
        {
            value = text[..kept];
            return kept;
        }

        byte lead = text[0];
        int character = lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
        if (_map is not null && !IsPlain(text, lead, character))
        {
            int matched = _map.Longest(text, out value);
            if (matched > 0)
            {
                return matched;
            }
        }

        value = text[..character];
        return character;
    }

    private bool IsPlain(ReadOnlySpan<byte> text, byte lead, int character) => character switch
    {
        1 => _map!.IsPlainAscii(lead) && (text.Length == 1 || text[1] < 0x80),
        2 => !_map!.MayStart((char)(((lead & 0x1F) << 6) | (text[1] & 0x3F))),
        3 => !_map!.MayStart((char)(((lead & 0x0F) << 12) | ((text[1] & 0x3F) << 6) | (text[2] & 0x3F))),
        _ => false,
    };

    private void AppendSpace(ref int length)
    {
        ReadOnlySpan<byte> space = _model.EscapeWhiteSpace ? VisibleSpace : " "u8;
        Reserve(length + space.Length);
        space.CopyTo(_output.AsSpan(length));
        length += space.Length;
    }

    private void Reserve(int length)
    {
        if (_output.Length < length)
        {
            Array.Resize(ref _output, Math.Max(length, _output.Length * 2));
        }
    }
}
