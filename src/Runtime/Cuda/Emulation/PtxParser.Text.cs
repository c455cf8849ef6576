using System.Globalization;

namespace CrossAlign.Runtime.Cuda.Emulation;

/// <content>The text itself: space, words, statements and numbers.</content>
internal sealed partial class PtxParser
{
    private static bool TryNumber(string text, out long value)
    {
        value = 0;
        if (text.Length > 2 && text[0] == '0' && text[1] is 'f' or 'F' or 'd' or 'D' && text.Length is 10 or 18)
        {
            value = text[1] is 'f' or 'F'
                ? uint.Parse(text.AsSpan(2), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture)
                : unchecked((long)ulong.Parse(text.AsSpan(2), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture));
            return true;
        }

        if (text.StartsWith("0x", StringComparison.Ordinal))
        {
            value = unchecked((long)ulong.Parse(text.AsSpan(2).TrimEnd('U'), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture));
            return true;
        }

        if (ulong.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out ulong unsigned))
        {
            value = unchecked((long)unsigned);
            return true;
        }

        return long.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out value);
    }

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
            else if (depth == 0 && text[i] is ',' or '|')
            {
                parts.Add(text[start..i]);
                start = i + 1;
            }
        }

        string last = text[start..];
        if (last.Trim().Length > 0)
        {
            parts.Add(last);
        }

        return parts;
    }

    private static bool IsType(string word) => word.Length is 3 or 4 && word[0] == '.' && word[1] is 'b' or 'u' or 's' or 'f' && char.IsAsciiDigit(word[2]);

    private static int TypeBits(string type) => int.Parse(type.AsSpan(2), CultureInfo.InvariantCulture);

    private PtxException Error(string what) => new(_line, string.Create(CultureInfo.InvariantCulture, $"PTX line {_line}: {what} is not understood."));

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

        return start == _position ? throw Error($"'{Peek()}'") : _text[start.._position];
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
            throw Error("a statement without an end");
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
