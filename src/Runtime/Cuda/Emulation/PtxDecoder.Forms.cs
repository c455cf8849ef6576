using System.Globalization;

namespace CrossAlign.Runtime.Cuda.Emulation;

/// <content>The comparison of each statement with <see cref="PtxForms"/>, before anything of it is decoded.</content>
internal sealed unsafe partial class PtxDecoder
{
    private PtxForm CheckForm()
    {
        PtxStatement s = _statement;
        if (PtxForms.Find(s.Opcode) is not { } form)
        {
            string mnemonic = s.Opcode.Split('.')[0];
            throw Wrong(PtxForms.Knows(mnemonic) ? $"no form of {mnemonic} that the emulated device knows" : "an instruction unknown to the emulated device");
        }

        if (s.Guard is { } guard && (guard.Kind != OperandKind.Predicate || !_predicates.ContainsKey(guard.Text)))
        {
            throw Wrong($"guarded by {guard.Text}, which is no predicate");
        }

        PtxOperandRule[] rules = form.Alternatives.Length == 1 ? form.Alternatives[0] : Array.Find(form.Alternatives, HasBracesOf) ?? form.Alternatives[0];
        int at = 0;
        foreach (PtxOperandRule rule in rules)
        {
            if (rule.IsPaired && (at == s.Operands.Length || !s.Operands[at].IsPaired))
            {
                continue;
            }

            if (at < s.Operands.Length && s.Operands[at].IsPaired == rule.IsPaired)
            {
                CheckOperand(rule, s.Operands[at++]);
            }
            else if (at < s.Operands.Length || !rule.IsOptional)
            {
                throw WrongCount(rules);
            }
        }

        return at == s.Operands.Length ? form : throw WrongCount(rules);
    }

    private bool HasBracesOf(PtxOperandRule[] rules)
    {
        PtxOperand[] operands = _statement.Operands;
        for (int i = 0; i < Math.Min(rules.Length, operands.Length); i++)
        {
            if (operands[i].Kind == OperandKind.Vector != rules[i].Count > 0)
            {
                return false;
            }
        }

        return true;
    }

    private void CheckOperand(in PtxOperandRule rule, PtxOperand operand)
    {
        switch (rule.Role)
        {
            case OperandRole.Address when operand.Kind != OperandKind.Address:
                throw Wrong($"{operand.Text} where an address in brackets belongs");
            case OperandRole.Number when operand.Kind != OperandKind.Immediate || !IsWhole(operand):
                throw Wrong($"{operand.Text} where a whole number belongs");
            case OperandRole.Label when operand.Kind != OperandKind.Symbol:
                throw Wrong($"{operand.Text} where a label belongs");
            case OperandRole.Address or OperandRole.Number or OperandRole.Label:
                return;
        }

        if (rule.Count == 0)
        {
            CheckValue(rule, operand);
            return;
        }

        if (operand.Kind != OperandKind.Vector || operand.Elements.Length != rule.Count)
        {
            throw Wrong(string.Create(CultureInfo.InvariantCulture, $"{operand.Text} where {rule.Count} registers in braces belong"));
        }

        foreach (PtxOperand element in operand.Elements)
        {
            CheckValue(rule, element);
        }
    }

    private void CheckValue(in PtxOperandRule rule, PtxOperand operand)
    {
        if (operand.Negated && !rule.MayBeNegated)
        {
            throw Wrong($"the negated {operand.Text} where no predicate can be negated");
        }

        if (_entry.Registers.TryGetValue(operand.Text, out PtxRegister register) && operand.Kind is OperandKind.Register or OperandKind.Predicate)
        {
            if (!Suits(rule, register))
            {
                throw Wrong(string.Create(CultureInfo.InvariantCulture, $"the register {operand.Text} of type .{register} where .{new PtxRegister(rule.Kind, rule.Bits)} belongs"));
            }

            return;
        }

        bool isWord = rule.Bits == 32 && rule.Kind != 'f';
        bool fits = rule.Role == OperandRole.Result ? rule.MayBeSink && operand.Text == "_"
            : operand.Kind switch
            {
                OperandKind.Immediate => IsWhole(operand) ? rule.Kind != 'f' : rule.Kind is 'f' or 'b' && rule.Bits == (operand.Text.Length == 10 ? 32 : 64),
                OperandKind.Symbol => (isWord || (rule.Bits == 64 && rule.Kind != 'f')) && _shared.ContainsKey(operand.Text),
                OperandKind.Register => isWord && s_specialRegisters.ContainsKey(operand.Text),
                _ => false,
            };
        if (!fits)
        {
            throw Wrong(string.Create(CultureInfo.InvariantCulture, $"{operand.Text} where {(rule.Role == OperandRole.Result ? "a register" : "a value")} of type .{new PtxRegister(rule.Kind, rule.Bits)} belongs"));
        }
    }

    // Bits take and give any type of their size; floats and integers do not mix. Source: PTX ISA, "Operand Type Checking".
    private static bool Suits(in PtxOperandRule rule, PtxRegister register)
    {
        bool isFloat = register.Kind == 'f';
        return rule.Kind == 'p' || register.Kind == 'p' ? rule.Kind == register.Kind
            : register.Bits == rule.Bits ? rule.Kind == 'b' || register.Kind == 'b' || (rule.Kind == 'f') == isFloat
            : rule.MayBeWider && register.Bits > rule.Bits && rule.Kind != 'f' && !isFloat;
    }

    private static bool IsWhole(PtxOperand operand) => operand.Text.Length < 2 || operand.Text[1] is not ('f' or 'F' or 'd' or 'D');

    private PtxException WrongCount(PtxOperandRule[] rules)
    {
        int most = rules.Length;
        int least = rules.Count(r => !r.IsOptional);
        return Wrong(string.Create(CultureInfo.InvariantCulture, $"{_statement.Operands.Length} operands where {least}{(most == least ? string.Empty : $" to {most}")} belong"));
    }

    private PtxException Wrong(string what) => new(_statement.Line, string.Create(CultureInfo.InvariantCulture, $"PTX line {_statement.Line}: '{_statement.Opcode}': {what}."));
}
