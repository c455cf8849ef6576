using System.Globalization;

namespace CrossAlign.Runtime.Cuda.Emulation;

/// <content>The text itself: space, words, statements and numbers.</content>
internal sealed partial class PtxParser
{
    private static readonly System.Buffers.SearchValues<char> s_space = System.Buffers.SearchValues.Create(" \t\r\n");

    // 0f and eight digits, 0d and sixteen, 0x and up to sixteen, else decimal; octal and binary numbers are not written by compilers.
    private static bool TryNumber(string text, out long value)
    {
        value = 0;
        if (text.Length == 0 || (text[0] != '-' && !char.IsAsciiDigit(text[0])))
        {
            return false;
        }

        char kind = text.Length > 2 && text[0] == '0' ? char.ToLowerInvariant(text[1]) : '\0';
        if (kind is 'f' or 'd' or 'x')
        {
            ReadOnlySpan<char> digits = kind == 'x' ? text.AsSpan(2).TrimEnd('U') : text.AsSpan(2);
            bool isWhole = kind == 'x' ? digits.Length <= 16 : digits.Length == (kind == 'f' ? 8 : 16);
            bool isHex = ulong.TryParse(digits, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out ulong bits);
            value = unchecked((long)bits);
            return isWhole && isHex;
        }

        if (text[0] == '0' && text.Length > 1)
        {
            return false;
        }

        if (ulong.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out ulong unsigned))
        {
            value = unchecked((long)unsigned);
            return true;
        }

        return long.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out value);
    }

    // A number of a directive: digits alone.
    private int Number(ReadOnlySpan<char> text) => int.TryParse(text.Trim(), NumberStyles.None, CultureInfo.InvariantCulture, out int value)
        ? value
        : throw Error($"'{(text.Length > 40 ? text[..40] : text).Trim()}' is no number that fits");

    private string Identifier(string name)
    {
        bool starts = name.Length > 1 ? char.IsAsciiLetter(name[0]) || name[0] is '_' or '$' or '%' : name.Length == 1 && char.IsAsciiLetter(name[0]);
        return starts && !name.AsSpan(1).ContainsAnyExcept(s_nameCharacters) ? name : throw Error($"'{(name.Length > 40 ? name[..40] : name)}' is no name");
    }

    private static readonly System.Buffers.SearchValues<char> s_nameCharacters =
        System.Buffers.SearchValues.Create("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_$");

    private static List<string> SplitOperands(string text)
    {
        List<string> parts = [];
        int depth = 0;
        int start = 0;
        for (int i = 0; i < text.Length; i++)
        {
            if (text[i] is '{' or '[')
            {
                depth++;
            }
            else if (text[i] is '}' or ']')
            {
                depth--;
            }
            else if (depth == 0 && text[i] == ',')
            {
                parts.Add(text[start..i]);
                start = i + 1;
            }
        }

        if (parts.Count > 0 || !text.AsSpan(start).IsWhiteSpace())
        {
            parts.Add(text[start..]);
        }

        return parts;
    }

    private static bool IsType(string word) => word is ".b8" or ".u8" or ".s8" or ".b16" or ".u16" or ".s16" or ".b32" or ".u32" or ".s32" or ".f32" or ".b64" or ".u64" or ".s64" or ".f64";

    private static int TypeBits(string type) => type[^1] switch { '8' => 8, '6' => 16, '2' => 32, _ => 64 };

    private PtxException Error(string what) => new(_line, string.Create(CultureInfo.InvariantCulture, $"PTX line {_line}: {what}."));

    private char Peek() => _position < _text.Length ? _text[_position] : '\0';

    private bool SkipSpace()
    {
        while (_position < _text.Length)
        {
            char c = _text[_position];
            if (c == '\n')
            {
                _line++;
                _position++;
            }
            else if (char.IsWhiteSpace(c) || c == '\0')
            {
                _position++;
            }
            else if (c == '/' && _position + 1 < _text.Length && _text[_position + 1] == '/')
            {
                while (_position < _text.Length && _text[_position] != '\n')
                {
                    _position++;
                }
            }
            else if (c == '/' && _position + 1 < _text.Length && _text[_position + 1] == '*')
            {
                int end = _text.IndexOf("*/", _position + 2, StringComparison.Ordinal);
                Take(end < 0 ? throw Error("a comment without an end") : end + 2 - _position);
            }
            else
            {
                return true;
            }
        }

        return false;
    }

    private string Word()
    {
        int start = _position;
        while (_position < _text.Length && !char.IsWhiteSpace(_text[_position]) && _text[_position] is not (':' or ';' or '(' or '{' or '}' or ','))
        {
            _position++;
        }

        return start == _position ? throw Error(Peek() == '\0' ? "the text ends too early" : $"'{Peek()}' is not understood") : _text[start.._position];
    }

    private string RestOfLine()
    {
        int end = _text.IndexOf('\n', _position);
        string rest = Take((end < 0 ? _text.Length : end) - _position);
        int comment = rest.IndexOf("//", StringComparison.Ordinal);
        return comment < 0 ? rest : rest[..comment];
    }

    private string Statement()
    {
        int end = _text.IndexOf(';', _position);
        if (end < 0)
        {
            throw Error("a statement has no end");
        }

        string statement = Take(end - _position);
        _position++;
        return statement.Trim();
    }

    private string Take(int count)
    {
        string taken = _text.Substring(_position, count);
        _line += taken.AsSpan().Count('\n');
        _position += count;
        return taken;
    }
}
