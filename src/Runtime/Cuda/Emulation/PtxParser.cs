using System.Globalization;

namespace CrossAlign.Runtime.Cuda.Emulation;

/// <summary>Reads PTX text as clang and nvcc write it: entries, registers, shared variables, labels, instructions and line directives.</summary>
internal sealed partial class PtxParser
{
    // A real module has a few thousand registers a kernel, braces two deep, and parameters of 4 KiB at most (cuLaunchKernel).
    private const int MaxRegisters = 1 << 16;
    private const int MaxDepth = 64;
    private const int MaxParameterBytes = 4352;

    private readonly string _text;
    private readonly PtxText _module = new();
    private readonly Stack<Scope> _scopes = new();
    private readonly List<(int Statement, Scope Scope)> _branches = [];
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
                    _module.Version = ParseVersion(RestOfLine().Trim());
                    break;
                case ".target":
                    string target = RestOfLine().Split(',')[0].Trim();
                    _module.Target = target.StartsWith("sm_", StringComparison.Ordinal) ? Number(target.AsSpan(3).TrimEnd("af")) : throw Error($"the target '{target}' is not an sm_");
                    break;
                case ".address_size":
                    string size = RestOfLine().Trim();
                    _ = size == "64" ? 64 : throw Error($"addresses of '{size}' bits: only those of 64 are possible");
                    break;
                case ".file":
                    string[] parts = RestOfLine().Split('"');
                    _module.Files[Number(parts[0])] = parts.Length > 2 ? parts[1] : throw Error("a .file without a name in quotation marks");
                    break;
                case ".section":
                    int end = _text.IndexOf('}', _position);
                    Take(end < 0 ? throw Error("a .section without an end") : end + 1 - _position);
                    break;
                case ".visible" or ".weak" or ".extern":
                    break;
                case ".entry":
                    ParseEntry();
                    break;
                case ".shared":
                    AddVariable(_module.Shared, ParseVariable(Statement()));
                    break;
                default:
                    throw Error($"'{word}' is not understood at module scope");
            }
        }

        if (_module.Version == 0 || _module.Target == 0)
        {
            throw Error($"there is no {(_module.Version == 0 ? ".version" : ".target")}");
        }
    }

    private int ParseVersion(string version)
    {
        int dot = version.IndexOf('.', StringComparison.Ordinal);
        return dot == version.Length - 2 && dot is > 0 and < 5 ? (Number(version.AsSpan(0, dot)) * 10) + Number(version.AsSpan(dot + 1)) : throw Error($"the version '{version}' is none");
    }

    private void ParseEntry()
    {
        SkipSpace();
        PtxEntry entry = new(Identifier(Word()));
        if (_module.Entries.Exists(e => e.Name == entry.Name))
        {
            throw Error($"{entry.Name} is defined twice");
        }

        SkipSpace();
        if (Peek() == '(')
        {
            int close = _text.IndexOf(')', _position);
            string list = Take(close < 0 ? throw Error($"the parameters of {entry.Name} do not end") : close + 1 - _position)[1..^1];
            string[] declarations = list.Split(',', StringSplitOptions.TrimEntries);
            foreach (string declaration in declarations.Length == 1 && declarations[0].Length == 0 ? [] : declarations)
            {
                ParseParameter(entry, declaration);
            }
        }

        while (SkipSpace() && Peek() != '{')
        {
            ParseLimit(entry, Word());
        }

        _module.Entries.Add(entry);
        ParseBody(entry);
        ResolveBranches(entry);
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
                _scopes.Push(_scopes.Count < MaxDepth ? new Scope(_scopes.TryPeek(out Scope? outer) ? outer : null, _scopeCount++) : throw Error("braces are nested too deep"));
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
            if (Peek() == ':' && !_text.AsSpan(_position).StartsWith("::"))
            {
                _position++;
                AddLabel(entry, Identifier(word));
            }
            else if (word == ".loc")
            {
                string[] numbers = RestOfLine().Split((char[])[' ', '\t', ','], StringSplitOptions.RemoveEmptyEntries);
                (_sourceFile, _sourceLine) = numbers.Length > 1 ? (Number(numbers[0]), Number(numbers[1])) : throw Error("a .loc without a file and a line");
            }
            else if (word == ".reg")
            {
                DeclareRegisters(entry, Statement());
            }
            else if (word == ".shared")
            {
                AddVariable(entry.Shared, ParseVariable(Statement()));
            }
            else if (word == ".pragma")
            {
                Statement();
            }
            else if (word.StartsWith('.'))
            {
                throw Error($"the directive '{word}' is not understood");
            }
            else
            {
                _position = start;
                _line = line;
                entry.Statements.Add(ParseInstruction(Statement(), line));
                if (entry.Statements[^1] is { Operands: [{ Kind: OperandKind.Symbol }] })
                {
                    _branches.Add((entry.Statements.Count - 1, _scopes.Peek()));
                }
            }
        }

        throw Error($"the body of {entry.Name} does not end");
    }

    // A label is known in its block and in those within it, where it may be defined anew.
    private void AddLabel(PtxEntry entry, string name)
    {
        if (!entry.Labels.TryAdd(LabelIn(_scopes.Peek(), name), entry.Statements.Count))
        {
            throw Error($"the label {name} is defined twice");
        }
    }

    private void ResolveBranches(PtxEntry entry)
    {
        foreach ((int index, Scope innermost) in _branches)
        {
            PtxOperand operand = entry.Statements[index].Operands[0];
            for (Scope? scope = innermost; scope is not null; scope = scope.Outer)
            {
                string label = LabelIn(scope, operand.Text);
                if (entry.Labels.ContainsKey(label))
                {
                    entry.Statements[index].Operands[0] = operand with { Text = label };
                    break;
                }
            }
        }

        _branches.Clear();
    }

    private static string LabelIn(Scope scope, string name) => scope.Outer is null ? name : string.Create(CultureInfo.InvariantCulture, $"{name}#{scope.Number}");

    private PtxStatement ParseInstruction(string text, int line)
    {
        PtxOperand? guard = null;
        if (text.StartsWith('@'))
        {
            int space = text.AsSpan().IndexOfAny(s_space);
            guard = ParseOperand(text[1..(space < 0 ? throw Error($"'{text}' guards nothing") : space)]);
            text = text[space..].TrimStart();
        }

        int end = text.AsSpan().IndexOfAny(s_space);
        string opcode = end < 0 ? text : text[..end];
        List<PtxOperand> operands = [];
        if (end >= 0)
        {
            foreach (string operand in SplitOperands(text[end..]))
            {
                int bar = operands.Count == 0 ? operand.IndexOf('|', StringComparison.Ordinal) : -1;
                operands.Add(ParseOperand(bar < 0 ? operand : operand[..bar]));
                if (bar >= 0)
                {
                    operands.Add(ParseOperand(operand[(bar + 1)..]) with { IsPaired = true });
                }
            }
        }

        return new PtxStatement(opcode, [.. operands], guard, line, _sourceFile, _sourceLine);
    }

    private PtxOperand ParseOperand(string text)
    {
        text = text.Trim();
        if (text.StartsWith('{'))
        {
            string[] inside = text.Length > 2 && text.EndsWith('}') && text.IndexOf('{', 1) < 0 ? [.. SplitOperands(text[1..^1])] : throw Error("braces that are not understood");
            return new PtxOperand(OperandKind.Vector, text, 0, false, [.. inside.Select(ParseOperand)]);
        }

        if (text.StartsWith('['))
        {
            string inner = text.EndsWith(']') ? text[1..^1].Trim() : throw Error($"the address '{text}' does not end");
            int plus = inner.IndexOf('+', StringComparison.Ordinal);
            long offset = 0;
            if (plus >= 0 && !long.TryParse(inner.AsSpan(plus + 1).Trim(), NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out offset))
            {
                throw Error($"the offset of the address '{text}' is no number");
            }

            return new PtxOperand(OperandKind.Address, Resolve(plus < 0 ? inner : inner[..plus].Trim()), offset, false, []);
        }

        bool negated = text.StartsWith('!');
        text = negated ? text[1..] : text;
        if (!negated && TryNumber(text, out long value))
        {
            return new PtxOperand(OperandKind.Immediate, text, value, false, []);
        }

        string name = Resolve(text);
        OperandKind kind = _module.Entries[^1].Registers.TryGetValue(name, out PtxRegister register) ? (register.Kind == 'p' ? OperandKind.Predicate : OperandKind.Register)
            : name.Length == 0 ? throw Error("an operand is missing")
            : name[0] == '%' ? OperandKind.Register
            : OperandKind.Symbol;
        return new PtxOperand(kind, name, 0, negated, []);
    }

    private string Resolve(string name)
    {
        for (Scope? scope = _scopes.Peek(); scope is not null; scope = scope.Outer)
        {
            if (scope.Names.TryGetValue(name, out string? unique))
            {
                return unique;
            }
        }

        return name;
    }

    /// <summary>A block in braces: its own names, and the block around it, null for the body of a kernel.</summary>
    private sealed class Scope(Scope? outer, int number)
    {
        public Scope? Outer { get; } = outer;

        public int Number { get; } = number;

        public Dictionary<string, string> Names { get; } = new(StringComparer.Ordinal);
    }
}
