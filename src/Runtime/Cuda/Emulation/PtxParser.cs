using System.Globalization;

namespace CrossAlign.Runtime.Cuda.Emulation;

/// <summary>Reads PTX text as clang and nvcc write it: entries, registers, shared variables, labels, instructions and line directives.</summary>
internal sealed partial class PtxParser
{
    private readonly string _text;
    private readonly PtxText _module = new();
    private readonly Stack<Dictionary<string, string>> _scopes = new();
    private int _position;
    private int _line = 1;
    private int _sourceFile;
    private int _sourceLine;
    private int _scopeCount;

    private PtxParser(string text) => _text = text;

    /// <summary>Parses a whole text.</summary>
    /// <exception cref="PtxException">The text is not what the parser knows.</exception>
    public static PtxText Parse(string text)
    {
        PtxParser parser = new(text);
        parser.ParseModule();
        return parser._module;
    }

    private void ParseModule()
    {
        while (SkipSpace())
        {
            string word = Word();
            switch (word)
            {
                case ".version":
                    string version = RestOfLine().Trim();
                    _module.Version = (int)Math.Round(double.Parse(version, CultureInfo.InvariantCulture) * 10);
                    break;
                case ".target":
                    string target = RestOfLine().Split(',')[0].Trim();
                    _module.Target = target.StartsWith("sm_", StringComparison.Ordinal)
                        ? int.Parse(target.AsSpan(3).TrimEnd("af"), CultureInfo.InvariantCulture)
                        : throw Error($"the target {target} is not an sm_");
                    break;
                case ".address_size":
                    RestOfLine();
                    break;
                case ".file":
                    string[] parts = RestOfLine().Trim().Split(' ', 2);
                    _module.Files[int.Parse(parts[0], CultureInfo.InvariantCulture)] = parts[1].Split('"')[1];
                    break;
                case ".section":
                    while (_position < _text.Length && _text[_position++] != '}')
                    {
                    }

                    break;
                case ".visible" or ".weak" or ".extern":
                    break;
                case ".entry":
                    ParseEntry();
                    break;
                case ".shared":
                    _module.Shared.Add(ParseVariable(Statement()));
                    break;
                default:
                    throw Error($"'{word}' at module scope");
            }
        }
    }

    private void ParseEntry()
    {
        SkipSpace();
        PtxEntry entry = new(Word());
        SkipSpace();
        if (Peek() == '(')
        {
            int close = _text.IndexOf(')', _position);
            int offset = 0;
            string list = Take(close + 1 - _position)[1..^1];
            foreach (string declaration in list.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries))
            {
                string[] words = declaration.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries);
                string type = words.First(w => IsType(w));
                int size = TypeBits(type) / 8;
                int align = size;
                int alignAt = Array.IndexOf(words, ".align");
                string name = words[^1];
                if (alignAt >= 0)
                {
                    align = int.Parse(words[alignAt + 1], CultureInfo.InvariantCulture);
                }

                int bracket = name.IndexOf('[', StringComparison.Ordinal);
                if (bracket >= 0)
                {
                    size *= int.Parse(name.AsSpan(bracket + 1, name.Length - bracket - 2), CultureInfo.InvariantCulture);
                    name = name[..bracket];
                }

                offset = (offset + align - 1) / align * align;
                entry.Parameters.Add(new PtxParameter(name, offset, size));
                offset += size;
            }
        }

        while (SkipSpace() && Peek() != '{')
        {
            string directive = Word();
            string arguments = RestOfLine();
            if (directive == ".maxntid")
            {
                entry.MaxThreads = arguments.Split(',').Aggregate(1, (p, s) => p * int.Parse(s, CultureInfo.InvariantCulture));
            }
        }

        _module.Entries.Add(entry);
        ParseBody(entry);
    }

    private void ParseBody(PtxEntry entry)
    {
        _sourceFile = 0;
        _sourceLine = 0;
        while (SkipSpace())
        {
            char c = Peek();
            if (c == '{')
            {
                _position++;
                _scopes.Push(new Dictionary<string, string>(StringComparer.Ordinal));
                continue;
            }

            if (c == '}')
            {
                _position++;
                _scopes.Pop();
                if (_scopes.Count == 0)
                {
                    return;
                }

                continue;
            }

            int start = _position;
            int line = _line;
            string word = Word();
            SkipSpace();
            if (Peek() == ':')
            {
                _position++;
                entry.Labels[word] = entry.Statements.Count;
            }
            else if (word == ".loc")
            {
                string[] numbers = RestOfLine().Split((char[])[' ', '\t', ','], StringSplitOptions.RemoveEmptyEntries);
                _sourceFile = int.Parse(numbers[0], CultureInfo.InvariantCulture);
                _sourceLine = int.Parse(numbers[1], CultureInfo.InvariantCulture);
            }
            else if (word == ".reg")
            {
                DeclareRegisters(entry, Statement());
            }
            else if (word == ".shared")
            {
                entry.Shared.Add(ParseVariable(Statement()));
            }
            else if (word == ".pragma")
            {
                Statement();
            }
            else if (word.StartsWith('.'))
            {
                throw Error($"the directive {word}");
            }
            else
            {
                _position = start;
                _line = line;
                entry.Statements.Add(ParseInstruction(Statement(), line));
            }
        }

        throw Error($"the body of {entry.Name} does not end");
    }

    private void DeclareRegisters(PtxEntry entry, string declaration)
    {
        string[] words = declaration.Split((char[])[' ', '\t', ','], StringSplitOptions.RemoveEmptyEntries);
        int bits = words[0] == ".pred" ? 1 : TypeBits(words[0]);
        foreach (string name in words.Skip(1))
        {
            int bracket = name.IndexOf('<', StringComparison.Ordinal);
            if (bracket >= 0)
            {
                int count = int.Parse(name.AsSpan(bracket + 1, name.Length - bracket - 2), CultureInfo.InvariantCulture);
                for (int i = 0; i < count; i++)
                {
                    entry.Registers[string.Create(CultureInfo.InvariantCulture, $"{name.AsSpan(0, bracket)}{i}")] = bits;
                }
            }
            else
            {
                // A register of an inline-assembly block: the same name may be declared again in another block.
                string unique = _scopes.Count == 1 ? name : string.Create(CultureInfo.InvariantCulture, $"{name}#{_scopeCount++}");
                _scopes.Peek()[name] = unique;
                entry.Registers[unique] = bits;
            }
        }
    }

    private static PtxVariable ParseVariable(string declaration)
    {
        string[] words = declaration.Split((char[])[' ', '\t'], StringSplitOptions.RemoveEmptyEntries);
        int align = 1;
        int at = Array.IndexOf(words, ".align");
        string type = words.First(w => IsType(w));
        align = at >= 0 ? int.Parse(words[at + 1], CultureInfo.InvariantCulture) : TypeBits(type) / 8;
        string name = words[^1];
        int size = TypeBits(type) / 8;
        int bracket = name.IndexOf('[', StringComparison.Ordinal);
        if (bracket >= 0)
        {
            string extent = name[(bracket + 1)..^1];
            size *= extent.Length == 0 ? 0 : int.Parse(extent, CultureInfo.InvariantCulture);
            name = name[..bracket];
        }

        return new PtxVariable(name, size, align);
    }

    private PtxStatement ParseInstruction(string text, int line)
    {
        PtxOperand? guard = null;
        if (text[0] == '@')
        {
            int space = text.IndexOfAny([' ', '\t']);
            guard = ParseOperand(text[1..space]);
            text = text[space..].TrimStart();
        }

        int end = text.IndexOfAny([' ', '\t']);
        string opcode = end < 0 ? text : text[..end];
        List<PtxOperand> operands = [];
        if (end >= 0)
        {
            foreach (string operand in SplitOperands(text[end..]))
            {
                operands.Add(ParseOperand(operand));
            }
        }

        return new PtxStatement(opcode, [.. operands], guard, line, _sourceFile, _sourceLine);
    }

    private PtxOperand ParseOperand(string text)
    {
        text = text.Trim();
        if (text.StartsWith('{'))
        {
            PtxOperand[] elements = [.. SplitOperands(text[1..^1]).Select(ParseOperand)];
            return new PtxOperand(OperandKind.Vector, text, 0, false, elements);
        }

        if (text.StartsWith('['))
        {
            string inner = text[1..^1].Trim();
            int plus = inner.IndexOf('+', StringComparison.Ordinal);
            long offset = plus < 0 ? 0 : long.Parse(inner.AsSpan(plus + 1).Trim(), NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture);
            return new PtxOperand(OperandKind.Address, Resolve(plus < 0 ? inner : inner[..plus].Trim()), offset, false, []);
        }

        bool negated = text.StartsWith('!');
        text = negated ? text[1..] : text;
        if (TryNumber(text, out long value))
        {
            return new PtxOperand(OperandKind.Immediate, text, value, false, []);
        }

        string name = Resolve(text);
        bool predicate = negated || name.StartsWith("%p", StringComparison.Ordinal);
        OperandKind kind = predicate ? OperandKind.Predicate
            : name.StartsWith('%') || name.Contains('#', StringComparison.Ordinal) || (_scopes.Count > 0 && _module.Entries[^1].Registers.ContainsKey(name)) ? OperandKind.Register
            : OperandKind.Symbol;
        if (kind == OperandKind.Register && _module.Entries[^1].Registers.TryGetValue(name, out int bits) && bits == 1)
        {
            kind = OperandKind.Predicate;
        }

        return new PtxOperand(kind, name, 0, negated, []);
    }

    private string Resolve(string name)
    {
        foreach (Dictionary<string, string> scope in _scopes)
        {
            if (scope.TryGetValue(name, out string? unique))
            {
                return unique;
            }
        }

        return name;
    }
}
