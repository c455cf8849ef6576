using System.Numerics;

namespace CrossAlign.Runtime.Cuda.Emulation;

/// <summary>
/// Which registers of a kernel's PTX are alive where. How many 32-bit ones are at once, at the place where most are, is what a compiler that
/// keeps the order of the instructions needs. The driver's compiler orders them anew and so needs fewer or more; of it this is an estimate,
/// made to be compared between versions of a kernel and with a limit well below the 255 registers that a thread can have. Those that are
/// alive where the kernel begins are read on some path before they are written.
/// </summary>
/// <remarks>
/// A register of 64 bits counts as two, one of 16 bits as one. Predicates have registers of their own. What is a constant is not counted,
/// as an instruction carries it, and neither is a parameter, which instructions read from constant memory.
/// </remarks>
internal static class LiveRegisters
{
    private static readonly HashSet<string> s_withoutResult = new(StringComparer.Ordinal)
    {
        "st", "red", "bar", "barrier", "membar", "fence", "bra", "ret", "exit", "cp", "nanosleep", "prefetch",
    };

    /// <summary>The number, and the statement where it is reached.</summary>
    /// <param name="entry">A kernel.</param>
    /// <returns>Registers and statement; no statement for a kernel without any.</returns>
    public static (int Count, PtxStatement? Where) Count(PtxEntry entry)
    {
        (Dictionary<string, int> numbers, Flow[] flows, ulong[][] alive) = Analyse(entry);
        int[] weights = Weights(entry, flows, numbers);
        ulong[] now = new ulong[alive[0].Length];
        (int Count, PtxStatement? Where) most = (0, null);
        for (int i = 0; i < flows.Length; i++)
        {
            // What is made and what is needed later; operands that end here may give their places to the results.
            After(entry, flows, alive, i, now);
            foreach (int result in flows[i].Results)
            {
                now[result >> 6] |= 1UL << (result & 63);
            }

            int count = Math.Max(Weight(now, weights), Weight(alive[i], weights));
            if (count > most.Count)
            {
                most = (count, entry.Statements[i]);
            }
        }

        return most;
    }

    /// <summary>
    /// The registers, predicates among them, that a path reads before it writes them: those that hold whatever was left in them. A compiler
    /// makes such reads where a value is not used, or not on that path; so do instructions under a guard, which for this count as no writing.
    /// </summary>
    /// <param name="entry">A kernel.</param>
    /// <returns>Their names, each once.</returns>
    public static IReadOnlyList<string> Unwritten(PtxEntry entry)
    {
        (Dictionary<string, int> numbers, _, ulong[][] alive) = Analyse(entry);
        return [.. numbers.Where(n => (alive[0][n.Value >> 6] >> (n.Value & 63) & 1) != 0).Select(n => n.Key)];
    }

    // The registers' numbers, what each statement does, and which registers are alive before each statement and behind the last.
    private static (Dictionary<string, int> Numbers, Flow[] Flows, ulong[][] Alive) Analyse(PtxEntry entry)
    {
        Dictionary<string, int> numbers = new(StringComparer.Ordinal);
        Flow[] flows = [.. entry.Statements.Select(s => Flow.Of(s, entry, numbers))];
        int words = (numbers.Count + 63) / 64;
        int n = flows.Length;
        ulong[][] alive = new ulong[n + 1][];
        for (int i = 0; i <= n; i++)
        {
            alive[i] = new ulong[words];
        }

        // Backward over all of them until nothing is added.
        ulong[] now = new ulong[words];
        for (bool changed = true; changed;)
        {
            changed = false;
            for (int i = n - 1; i >= 0; i--)
            {
                After(entry, flows, alive, i, now);
                foreach (int result in flows[i].Results)
                {
                    if (!flows[i].IsGuarded)
                    {
                        now[result >> 6] &= ~(1UL << (result & 63));
                    }
                }

                foreach (int operand in flows[i].Operands)
                {
                    now[operand >> 6] |= 1UL << (operand & 63);
                }

                if (!now.AsSpan().SequenceEqual(alive[i]))
                {
                    now.CopyTo(alive[i], 0);
                    changed = true;
                }
            }
        }

        return (numbers, flows, alive);
    }

    private static void After(PtxEntry entry, Flow[] flows, ulong[][] alive, int i, ulong[] now)
    {
        Array.Clear(now);
        PtxStatement statement = entry.Statements[i];
        if (flows[i].Opcode == "bra")
        {
            Join(now, alive[entry.Labels[statement.Operands[0].Text]]);
        }

        bool ends = flows[i].Opcode is "bra" or "ret" or "exit" && statement.Guard is null;
        if (!ends)
        {
            Join(now, alive[i + 1]);
        }
    }

    private static void Join(ulong[] to, ulong[] from)
    {
        for (int w = 0; w < to.Length; w++)
        {
            to[w] |= from[w];
        }
    }

    private static int Weight(ulong[] set, int[] weights)
    {
        int total = 0;
        for (int w = 0; w < set.Length; w++)
        {
            for (ulong rest = set[w]; rest != 0; rest &= rest - 1)
            {
                total += weights[(w << 6) + BitOperations.TrailingZeroCount(rest)];
            }
        }

        return total;
    }

    private static int[] Weights(PtxEntry entry, Flow[] flows, Dictionary<string, int> numbers)
    {
        int[] weights = new int[numbers.Count];
        int[] definitions = new int[numbers.Count];
        foreach ((string name, int number) in numbers)
        {
            PtxRegister register = entry.Registers[name];
            weights[number] = register.Kind == 'p' ? 0 : register.Bits == 64 ? 2 : 1;
        }

        foreach (int result in flows.SelectMany(f => f.Results))
        {
            definitions[result]++;
        }

        // A global address is a generic one: the conversion of a parameter is still that parameter.
        foreach (Flow flow in flows)
        {
            if (flow.IsConstant || (flow.Opcode == "cvta" && flow.Operands.All(o => weights[o] == 0)))
            {
                foreach (int result in flow.Results.Where(r => definitions[r] == 1))
                {
                    weights[result] = 0;
                }
            }
        }

        return weights;
    }

    /// <summary>What a statement reads and writes, by the registers' numbers.</summary>
    private readonly record struct Flow(string Opcode, int[] Results, int[] Operands, bool IsGuarded, bool IsConstant)
    {
        public static Flow Of(PtxStatement statement, PtxEntry entry, Dictionary<string, int> numbers)
        {
            string opcode = statement.Opcode.Split('.')[0];
            List<int> results = [];
            List<int> operands = [];
            int resultCount = s_withoutResult.Contains(opcode) || statement.Opcode is "mbarrier.init.shared.b64" or "mbarrier.inval.shared.b64" ? 0
                : opcode is "setp" or "shfl" or "match" && statement.Operands.Length > 1 && statement.Operands[1].Kind == OperandKind.Predicate ? 2
                : 1;
            if (statement.Guard is not null)
            {
                Collect(statement.Guard, entry, numbers, operands);
            }

            for (int i = 0; i < statement.Operands.Length; i++)
            {
                Collect(statement.Operands[i], entry, numbers, i < resultCount ? results : operands);
            }

            bool isConstant = statement.Guard is null && (statement.Opcode.StartsWith("ld.param", StringComparison.Ordinal) || (opcode == "mov" && operands.Count == 0 && !IsSpecial(statement)));
            return new Flow(opcode, [.. results], [.. operands], statement.Guard is not null, isConstant);
        }

        // A special register, as of the thread's index, is read by an instruction of its own.
        private static bool IsSpecial(PtxStatement statement) => statement.Operands.Length == 2 && statement.Operands[1].Text.StartsWith('%');

        private static void Collect(PtxOperand operand, PtxEntry entry, Dictionary<string, int> numbers, List<int> to)
        {
            foreach (PtxOperand element in operand.Elements)
            {
                Collect(element, entry, numbers, to);
            }

            if (entry.Registers.ContainsKey(operand.Text))
            {
                if (!numbers.TryGetValue(operand.Text, out int number))
                {
                    numbers[operand.Text] = number = numbers.Count;
                }

                to.Add(number);
            }
        }
    }
}
