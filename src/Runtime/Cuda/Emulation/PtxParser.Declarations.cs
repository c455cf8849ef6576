using System.Globalization;

namespace CrossAlign.Runtime.Cuda.Emulation;

/// <content>What is declared: parameters, limits of a launch, registers and variables.</content>
internal sealed partial class PtxParser
{
    // .param [.align n] .type [.ptr [.space] [.align n]] name[n]
    private void ParseParameter(PtxEntry entry, string declaration)
    {
        Queue<string> words = new(declaration.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries));
        if (!words.TryDequeue(out string? first) || first != ".param")
        {
            throw Error($"the parameter '{declaration}' is not understood");
        }

        (string name, long byteCount, int align) = ParseDeclaration(words, declaration, isParameter: true);
        long offset = entry.Parameters.Count == 0 ? 0 : entry.Parameters[^1].Offset + entry.Parameters[^1].ByteCount;
        offset = (offset + align - 1) / align * align;
        if (byteCount == 0 || entry.Parameters.Exists(p => p.Name == name))
        {
            throw Error(byteCount == 0 ? $"the parameter {name} has no size" : $"the parameter {name} is declared twice");
        }

        if (offset + byteCount > MaxParameterBytes)
        {
            throw Error(string.Create(CultureInfo.InvariantCulture, $"the parameters of {entry.Name} are of more than {MaxParameterBytes} bytes"));
        }

        entry.Parameters.Add(new PtxParameter(name, (int)offset, (int)byteCount, align));
    }

    private (string Name, long ByteCount, int Alignment) ParseDeclaration(Queue<string> words, string declaration, bool isParameter)
    {
        int align = ParseAlignment(words);
        string type = words.Count > 0 && IsType(words.Peek()) ? words.Dequeue() : throw Error($"'{declaration}' has no type");
        if (isParameter && words.TryPeek(out string? pointer) && pointer == ".ptr")
        {
            // What the pointer points to has a space and an alignment; the parameter itself has its own.
            words.Dequeue();
            if (words.TryPeek(out string? space) && space is ".global" or ".shared" or ".const" or ".local")
            {
                words.Dequeue();
            }

            ParseAlignment(words);
        }

        string name = string.Concat(words);
        long count = 1;
        int bracket = name.IndexOf('[', StringComparison.Ordinal);
        if (bracket >= 0)
        {
            string extent = name.EndsWith(']') ? name[(bracket + 1)..^1] : throw Error($"the array in '{declaration}' does not end");
            count = extent.Length == 0 ? 0 : Number(extent);
            name = name[..bracket];
        }

        int size = TypeBits(type) / 8;
        return (words.Count > 2 ? throw Error($"'{declaration}' is not understood") : Identifier(name), size * count, align == 0 ? size : align);
    }

    private int ParseAlignment(Queue<string> words)
    {
        if (!words.TryPeek(out string? word) || word != ".align")
        {
            return 0;
        }

        words.Dequeue();
        int align = Number(words.Count > 0 ? words.Dequeue() : string.Empty);
        return align <= 128 && System.Numerics.BitOperations.IsPow2(align) ? align : throw Error(string.Create(CultureInfo.InvariantCulture, $"the alignment {align} is no power of two up to 128"));
    }

    private void ParseLimit(PtxEntry entry, string directive)
    {
        int end = _text.AsSpan(_position).IndexOfAny('\n', '{', '.');
        string[] numbers = Take(end < 0 ? _text.Length - _position : end).Split(',');
        if (directive is not (".maxntid" or ".reqntid" or ".maxnreg" or ".minnctapersm" or ".maxnctapersm") || numbers.Length > (directive.EndsWith("ntid", StringComparison.Ordinal) ? 3 : 1))
        {
            throw Error($"the directive '{directive}' is not understood");
        }

        int[] values = [.. numbers.Select(n => Number(n))];
        if (values.Any(v => v is 0 or > ushort.MaxValue))
        {
            throw Error($"the directive {directive} has numbers that are not possible");
        }

        if (directive == ".maxntid")
        {
            entry.MaxThreads = (int)Math.Min(values.Aggregate(1L, (product, v) => product * v), int.MaxValue);
        }
        else if (directive == ".reqntid")
        {
            entry.RequiredBlock = new Dim3((uint)values[0], values.Length > 1 ? (uint)values[1] : 1, values.Length > 2 ? (uint)values[2] : 1);
        }
    }

    private void DeclareRegisters(PtxEntry entry, string declaration)
    {
        string[] words = declaration.Split((char[])[' ', '\t', ',', '\r', '\n'], StringSplitOptions.RemoveEmptyEntries);
        PtxRegister register = words.Length < 2 ? throw Error("a .reg without a type or a name")
            : words[0] == ".pred" ? new PtxRegister('p', 1)
            : IsType(words[0]) && TypeBits(words[0]) >= 16 ? new PtxRegister(words[0][1], TypeBits(words[0]))
            : throw Error($"registers of type '{words[0]}' are unknown to the emulated device");
        for (int w = 1; w < words.Length; w++)
        {
            string name = words[w];
            int bracket = name.IndexOf('<', StringComparison.Ordinal);
            if (bracket >= 0)
            {
                int count = name.EndsWith('>') ? Number(name.AsSpan(bracket + 1, name.Length - bracket - 2)) : throw Error($"the registers '{name}' are not understood");
                string stem = Identifier(name[..bracket]);
                if (count > MaxRegisters - entry.Registers.Count)
                {
                    throw Error(string.Create(CultureInfo.InvariantCulture, $"{entry.Name} has more than {MaxRegisters} registers"));
                }

                for (int i = 0; i < count; i++)
                {
                    AddRegister(entry, string.Create(CultureInfo.InvariantCulture, $"{stem}{i}"), register);
                }
            }
            else
            {
                AddRegister(entry, Identifier(name), register);
            }
        }
    }

    private void AddRegister(PtxEntry entry, string name, PtxRegister register)
    {
        // A register of an inline-assembly block: the same name may be declared again in another block.
        Scope scope = _scopes.Peek();
        string unique = scope.Outer is null ? name : string.Create(CultureInfo.InvariantCulture, $"{name}#{scope.Number}");
        if (scope.Outer is not null)
        {
            scope.Names[name] = unique;
        }

        if (entry.Registers.Count >= MaxRegisters || !entry.Registers.TryAdd(unique, register))
        {
            throw Error(entry.Registers.Count < MaxRegisters ? $"the register {name} is declared twice"
                : string.Create(CultureInfo.InvariantCulture, $"{entry.Name} has more than {MaxRegisters} registers"));
        }
    }

    private PtxVariable ParseVariable(string declaration)
    {
        (string name, long byteCount, int align) = ParseDeclaration(new Queue<string>(declaration.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries)), declaration, isParameter: false);
        return new PtxVariable(name, (int)Math.Min(byteCount, int.MaxValue), align, _line);
    }

    private void AddVariable(List<PtxVariable> variables, PtxVariable variable) =>
        variables.Add(variables.Exists(v => v.Name == variable.Name) ? throw Error($"the variable {variable.Name} is declared twice") : variable);
}
