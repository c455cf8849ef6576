using System.Collections.Concurrent;
using System.Globalization;

namespace CrossAlign.Runtime.Cuda.Emulation;

/// <summary>What an operand of a form has to be.</summary>
internal enum OperandRole
{
    /// <summary>A register that is written.</summary>
    Result,

    /// <summary>A register, a number or the address of a variable.</summary>
    Source,

    /// <summary>A place in memory, in brackets.</summary>
    Address,

    /// <summary>A number that is known when the module is loaded.</summary>
    Number,

    /// <summary>Where a branch goes.</summary>
    Label,
}

/// <summary>One operand of a form.</summary>
/// <param name="Role">What it is.</param>
/// <param name="Kind">The kind of its type: b, u, s, f, or p for predicates.</param>
/// <param name="Bits">The bits of its type, 1 for predicates.</param>
/// <param name="Count">Registers in braces; 0 for a single one.</param>
/// <param name="MayBeWider">A register that is wider than the type will do, as for loads, stores and conversions.</param>
/// <param name="MayBeNegated">A predicate may be negated.</param>
/// <param name="MayBeSink">The result may be thrown away: an underscore.</param>
/// <param name="IsPaired">It follows the result behind a bar, and may be left out.</param>
/// <param name="IsOptional">It may be left out.</param>
internal readonly record struct PtxOperandRule(
    OperandRole Role, char Kind, int Bits, int Count, bool MayBeWider, bool MayBeNegated, bool MayBeSink, bool IsPaired, bool IsOptional);

/// <summary>An instruction with its modifiers, and the operands that it takes.</summary>
/// <param name="Parts">The mnemonic and its modifiers.</param>
/// <param name="Alternatives">Lists of operands, of which one must fit: they differ in what stands in braces.</param>
internal sealed record PtxForm(string[] Parts, PtxOperandRule[][] Alternatives);

/// <summary>
/// The instructions that the emulated device executes, in the forms of the PTX ISA manual (chapter "Instruction Set", version 7.0): what is
/// not here is refused when a module is loaded, by its name.
/// </summary>
internal static class PtxForms
{
    private const string Bits = "b16|b32|b64";
    private const string Word = "s32|u32";
    private const string Long = "s64|u64";
    private const string Half = "s16|u16";
    private const string Float = "f32|f64";
    private const string Integer = $"{Half}|{Word}|{Long}";
    private const string Narrow = $"u8|s8|{Integer}";
    private const string Stored = $"b8|{Bits}|{Narrow}|{Float}";
    private const string LoadCache = "ca|cg|cs|lu|cv?";
    private const string Round = "rn|rz|rm|rp";
    private const string RoundToInteger = "rni|rzi|rmi|rpi";

    // Mnemonics, then modifiers in their order: a bar between those of which one stands there, a question mark where none need stand.
    // Operands: = result, ~ a register may be wider, ! may be negated, _ may be a sink, | behind a bar, [] address, # number, : label,
    // then the type: t the last one of the instruction, s the one before it, w twice as wide as t, or a type by name;
    // {2} as many in braces, {v} as the modifier v2, v4, x1, x2 or x4 says; ? may be left out. A slash parts alternatives.
    private static readonly (string Name, string Operands)[] s_table =
    [
        ($"add|sub {Integer}", "=t t t"),
        ($"add|sub|mul rn? {Float}", "=t t t"),
        ($"fma rn {Float}", "=t t t t"),
        ($"mul lo {Integer}", "=t t t"),
        ($"mul hi u16|{Word}|{Long}", "=t t t"),
        ($"mul wide {Half}|{Word}", "=w t t"),
        ($"mad lo {Word}|{Long}", "=t t t t"),
        ($"mad hi {Word}", "=t t t t"),
        ($"mad wide {Word}", "=w t t w"),
        ($"div|rem {Word}|{Long}", "=t t t"),
        ($"div rn {Float}", "=t t t"),
        ("div approx ftz? f32", "=t t t"),
        ("div full f32", "=t t t"),
        ($"sqrt|rcp rn {Float}", "=t t"),
        ("sqrt|rcp|rsqrt|ex2|lg2 approx ftz? f32", "=t t"),
        ("tanh approx f32", "=t t"),
        ($"min|max {Word}|{Long}", "=t t t"),
        ("min|max NaN? f32", "=t t t"),
        ("min|max f64", "=t t t"),
        ($"neg|abs s32|s64|{Float}", "=t t"),
        ($"and|or|xor pred|{Bits}", "=t t t"),
        ($"not pred|{Bits}", "=t t"),
        ($"shl {Bits}", "=t t u32"),
        ($"shr {Bits}|{Integer}", "=t t u32"),
        ("shf l|r wrap b32", "=t t t u32"),
        ("bfe u32|s32", "=t t u32 u32"),
        ("prmt b32", "=t t t t"),
        ("popc|clz b32|b64", "=u32 t"),
        ("brev b32", "=t t"),

        ($"mov pred|{Integer}|{Float}|b16", "=t t"),
        ("mov b32", "=t t / =t b16{2} / =b16{2} t"),
        ("mov b64", "=t t / =t b32{2} / =b32{2} t"),
        ("cvta to? global|shared u64", "=t t"),
        ($"selp {Bits}|{Integer}|{Float}", "=t t t pred"),
        ($"setp eq|ne and|or|xor b16|u16|b32|{Word}|b64|{Long}", "=pred |=pred t t !pred"),
        ($"setp eq|ne b16|u16|b32|{Word}|b64|{Long}", "=pred |=pred t t"),
        ($"setp lt|le|gt|ge and|or|xor u16|{Word}|{Long}", "=pred |=pred t t !pred"),
        ($"setp lt|le|gt|ge u16|{Word}|{Long}", "=pred |=pred t t"),
        ("setp lo|ls|hi|hs and|or|xor u16|u32|u64", "=pred |=pred t t !pred"),
        ("setp lo|ls|hi|hs u16|u32|u64", "=pred |=pred t t"),
        ($"setp eq|ne|lt|le|gt|ge|equ|neu|ltu|leu|gtu|geu|num|nan and|or|xor {Float}", "=pred |=pred t t !pred"),
        ($"setp eq|ne|lt|le|gt|ge|equ|neu|ltu|leu|gtu|geu|num|nan {Float}", "=pred |=pred t t"),

        ($"cvt {Narrow} {Narrow}", "=~s ~t"),
        ($"cvt {Round} sat? {Float} {Narrow}", "=~s ~t"),
        ($"cvt {RoundToInteger} {Narrow} {Float}", "=~s ~t"),
        ($"cvt {RoundToInteger}? sat? f32 f32", "=s t"),
        ($"cvt {RoundToInteger}? sat? f64 f64", "=s t"),
        ("cvt sat? f64 f32", "=s t"),
        ($"cvt {Round} sat? f32 f64", "=s t"),
        ("cvt rn bf16x2 f32", "=b32 t t"),
        ("cvt rn bf16 f32", "=~b16 t"),
        ("cvt rna tf32 f32", "=b32 t"),

        ($"ld weak? global|shared|param? {LoadCache} v2|v4? {Stored}", "=~t{v} []"),
        ($"ld volatile global|shared? v2|v4? {Stored}", "=~t{v} []"),
        ($"ld global ca|cg|cs? nc v2|v4? {Stored}", "=~t{v} []"),
        ($"ldu global? v2|v4? {Stored}", "=~t{v} []"),
        ($"st weak? global|shared? wb|cg|cs|wt? v2|v4? {Stored}", "[] ~t{v}"),
        ($"st volatile global|shared? v2|v4? {Stored}", "[] ~t{v}"),
        ("cp async ca|cg shared global", "[] [] # u32?"),
        ("cp async commit_group|wait_all", ""),
        ("cp async wait_group", "#"),
        ("atom relaxed? gpu|sys? global|shared? add u32|s32|u64|f32", "=t [] t"),
        ($"atom relaxed? gpu|sys? global|shared? min|max {Word}|{Long}", "=t [] t"),
        ("atom relaxed? gpu|sys? global|shared? and|or|xor|exch b32|b64", "=t [] t"),
        ("atom relaxed? gpu|sys? global|shared? cas b32|b64", "=t [] t t"),
        ("atom relaxed? gpu|sys? global|shared? inc u32", "=t [] t"),
        ("red relaxed? gpu|sys? global|shared? add u32|s32|u64|f32", "[] t"),
        ($"red relaxed? gpu|sys? global|shared? min|max {Word}|{Long}", "[] t"),
        ("red relaxed? gpu|sys? global|shared? and|or|xor b32|b64", "[] t"),
        ("red relaxed? gpu|sys? global|shared? inc u32", "[] t"),

        ("bra uni?", ":"),
        ("ret uni?", ""),
        ("exit", ""),
        ("bar sync", "#"),
        ("barrier sync aligned?", "#"),
        ("bar warp sync", "b32"),
        ("bar red popc u32", "=t # !pred"),
        ("bar red and|or pred", "=t # !pred"),
        ("barrier red popc aligned? u32", "=t # !pred"),
        ("barrier red and|or aligned? pred", "=t # !pred"),
        ("membar cta|gl|sys", ""),
        ("fence sc|acq_rel? cta|gpu|sys", ""),
        ("nanosleep u32", "t"),
        ("mbarrier init shared b64", "[] u32"),
        ("mbarrier inval shared b64", "[]"),
        ("mbarrier arrive shared b64", "=_t []"),
        ("mbarrier test_wait shared b64", "=pred [] t"),
        ("shfl sync up|down|bfly|idx b32", "=t |=pred t b32 b32 b32"),
        ("vote sync any|all|uni pred", "=t !t b32"),
        ("vote sync ballot b32", "=t !pred b32"),
        ("match any sync b32", "=t t b32"),
        ("redux sync add|min|max u32|s32", "=t t b32"),
        ("redux sync and|or|xor b32", "=t t b32"),
        ("activemask b32", "=t"),
        ("ldmatrix sync aligned m8n8 x1|x2|x4 trans? shared b16", "=b32{v} []"),
        ("mma sync aligned m16n8k16 row col f32 bf16 bf16 f32", "=f32{4} b32{4} b32{2} f32{4}"),
        ("mma sync aligned m16n8k8 row col f32 tf32 tf32 f32", "=f32{4} b32{4} b32{2} f32{4}"),
    ];

    private static readonly ILookup<string, (string[][] Modifiers, string Operands)> s_byMnemonic = s_table
        .SelectMany(row => Mnemonics(row.Name).Select(m => (Mnemonic: m, Modifiers: Modifiers(row.Name), row.Operands)))
        .ToLookup(row => row.Mnemonic, row => (row.Modifiers, row.Operands), StringComparer.Ordinal);

    // Only what the table allows comes in here, so that it cannot grow without bound.
    private static readonly ConcurrentDictionary<string, PtxForm> s_found = new(StringComparer.Ordinal);

    /// <summary>Whether the mnemonic, the word before the first dot, is known in any form.</summary>
    public static bool Knows(string mnemonic) => s_byMnemonic.Contains(mnemonic);

    /// <summary>The form of an instruction with its modifiers, or null where the table has none.</summary>
    public static PtxForm? Find(string opcode)
    {
        if (s_found.TryGetValue(opcode, out PtxForm? known))
        {
            return known;
        }

        string[] parts = opcode.Split('.');
        foreach ((string[][] modifiers, string operands) in s_byMnemonic[parts[0]])
        {
            if (Fits(parts, modifiers))
            {
                PtxForm form = new(parts, [.. operands.Split('/').Select(list => Rules(list, parts))]);
                return s_found.GetOrAdd(opcode, form);
            }
        }

        return null;
    }

    private static string[] Mnemonics(string name) => name.Split(' ')[0].Split('|');

    private static string[][] Modifiers(string name) => [.. name.Split(' ').Skip(1).Select(m => m.EndsWith('?') ? [string.Empty, .. m[..^1].Split('|')] : m.Split('|'))];

    // A place that may be left out begins with an empty modifier. No modifier stands in two places that follow each other, so the first fit is the only one.
    private static bool Fits(string[] parts, string[][] modifiers)
    {
        int at = 1;
        foreach (string[] allowed in modifiers)
        {
            if (at < parts.Length && parts[at].Length > 0 && allowed.Contains(parts[at]))
            {
                at++;
            }
            else if (allowed[0].Length > 0)
            {
                return false;
            }
        }

        return at == parts.Length;
    }

    private static PtxOperandRule[] Rules(string list, string[] parts) =>
        [.. list.Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(token => Rule(token, parts))];

    private static PtxOperandRule Rule(string token, string[] parts)
    {
        int brace = token.IndexOf('{', StringComparison.Ordinal);
        int count = brace < 0 ? 0 : token[brace + 1] == 'v' ? VectorCount(parts) : token[brace + 1] - '0';
        string type = (brace < 0 ? token : token[..brace]).TrimStart('=', '~', '!', '_', '|').TrimEnd('?');
        OperandRole role = type switch
        {
            "[]" => OperandRole.Address,
            "#" => OperandRole.Number,
            ":" => OperandRole.Label,
            _ => token.Contains('=', StringComparison.Ordinal) ? OperandRole.Result : OperandRole.Source,
        };
        (char kind, int bits) = role is OperandRole.Result or OperandRole.Source ? TypeOf(type, parts) : ('b', 64);
        return new PtxOperandRule(role, kind, bits, count, token.Contains('~', StringComparison.Ordinal), token.Contains('!', StringComparison.Ordinal),
            token.Contains('_', StringComparison.Ordinal), token.StartsWith('|'), token.StartsWith('|') || token.EndsWith('?'));
    }

    private static int VectorCount(string[] parts) =>
        parts.Contains("v2") || parts.Contains("x2") ? 2 : parts.Contains("v4") || parts.Contains("x4") ? 4 : parts.Contains("x1") ? 1 : 0;

    private static (char Kind, int Bits) TypeOf(string type, string[] parts)
    {
        string name = type switch { "t" or "w" => parts[^1], "s" => parts[^2], _ => type };
        return name == "pred" ? ('p', 1) : (name[0], int.Parse(name.AsSpan(1), CultureInfo.InvariantCulture) * (type == "w" ? 2 : 1));
    }
}
