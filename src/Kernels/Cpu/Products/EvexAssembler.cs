namespace CrossAlign.Kernels.Cpu.Products;

/// <summary>
/// Writes the few x64 instructions that a tile of bfloat16 products needs. The runtime has no intrinsics for AVX512_BF16, so its
/// kernel is machine code. Source: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2, section 2.7 (EVEX).
/// </summary>
internal sealed class EvexAssembler
{
    private const int Map0F = 1;
    private const int Map0F38 = 2;
    private const int NoPrefix = 0;
    private const int Prefix66 = 1;
    private const int PrefixF3 = 2;
    private const int VectorBytes = 64;

    private readonly List<byte> _code = [];

    /// <summary>General registers by their number in an instruction; the ones that no calling convention asks to keep.</summary>
    internal enum Register
    {
        Rcx = 1,
        Rdx = 2,
        Rsi = 6,
        Rdi = 7,
        R8 = 8,
        R9 = 9,
    }

    /// <summary>Bytes written so far: the place of the next instruction.</summary>
    public int Position => _code.Count;

    /// <summary>The code.</summary>
    public byte[] ToArray() => [.. _code];

    /// <summary>vpxord: a vector of zeros.</summary>
    public void Zero(int vector) => Evex(Map0F, Prefix66, 0xEF, vector, vector, vector);

    /// <summary>vmovups: loads 64 bytes.</summary>
    public void Load(int vector, Register address, int offset) => Evex(Map0F, NoPrefix, 0x10, vector, address, offset, VectorBytes, broadcast: false);

    /// <summary>vmovups: stores 64 bytes.</summary>
    public void Store(int vector, Register address, int offset) => Evex(Map0F, NoPrefix, 0x11, vector, address, offset, VectorBytes, broadcast: false);

    /// <summary>vdpbf16ps with one pair of the second factor for all lanes: sums += first.high * pair.high, then += first.low * pair.low.</summary>
    public void MultiplyAddPairs(int sums, int first, Register pair, int offset) => Evex(Map0F38, PrefixF3, 0x52, sums, pair, offset, sizeof(float), broadcast: true, first);

    /// <summary>mov between general registers.</summary>
    public void Move(Register to, Register from) =>
        Emit(0x48 | (((int)from >> 3) << 2) | ((int)to >> 3), 0x89, 0xC0 | (((int)from & 7) << 3) | ((int)to & 7));

    /// <summary>add of a constant.</summary>
    public void Add(Register register, int value)
    {
        bool small = value is >= sbyte.MinValue and <= sbyte.MaxValue;
        Emit(0x48 | ((int)register >> 3), small ? 0x83 : 0x81, 0xC0 | ((int)register & 7));
        if (small)
        {
            Emit(value & 0xFF);
        }
        else
        {
            EmitInt32(value);
        }
    }

    /// <summary>dec.</summary>
    public void Decrement(Register register) => Emit(0x48 | ((int)register >> 3), 0xFF, 0xC8 | ((int)register & 7));

    /// <summary>jnz back to a place.</summary>
    public void JumpIfNotZero(int position)
    {
        Emit(0x0F, 0x85);
        EmitInt32(position - (_code.Count + sizeof(int)));
    }

    /// <summary>vzeroupper, ret.</summary>
    public void Return() => Emit(0xC5, 0xF8, 0x77, 0xC3);

    private void Evex(int map, int prefix, int opcode, int destination, int first, int second)
    {
        EmitPrefix(map, prefix, destination, first, extensionX: second >> 4, extensionB: second >> 3, broadcast: false);
        Emit(opcode, 0xC0 | ((destination & 7) << 3) | (second & 7));
    }

    private void Evex(int map, int prefix, int opcode, int vector, Register address, int offset, int unit, bool broadcast, int first = 0)
    {
        // Displacements of one byte count in units of what is read. Rsp, rbp, r12 and r13 would need another form; they are not used.
        int displacement = offset / unit;
        if (offset % unit != 0 || displacement is < sbyte.MinValue or > sbyte.MaxValue)
        {
            throw new ArgumentOutOfRangeException(nameof(offset), offset, $"An offset is a multiple of {unit} up to {unit * sbyte.MaxValue}.");
        }

        EmitPrefix(map, prefix, vector, first, extensionX: 0, extensionB: (int)address >> 3, broadcast);
        int registers = ((vector & 7) << 3) | ((int)address & 7);
        if (displacement == 0)
        {
            Emit(opcode, registers);
        }
        else
        {
            Emit(opcode, 0x40 | registers, displacement & 0xFF);
        }
    }

    // 62, then R X B R' 0 m m m, then W v v v v 1 p p, then z L' L b V' a a a; R, X, B, v and V' stand inverted.
    private void EmitPrefix(int map, int prefix, int register, int first, int extensionX, int extensionB, bool broadcast)
    {
        int inverted = (((~register >> 3) & 1) << 7) | ((~extensionX & 1) << 6) | ((~extensionB & 1) << 5) | (((~register >> 4) & 1) << 4);
        int length = 2 << 5;
        Emit(0x62, inverted | map, ((~first & 15) << 3) | 4 | prefix, length | (broadcast ? 16 : 0) | (((~first >> 4) & 1) << 3));
    }

    private void Emit(params ReadOnlySpan<int> bytes)
    {
        foreach (int b in bytes)
        {
            _code.Add((byte)b);
        }
    }

    private void EmitInt32(int value) => Emit(value & 0xFF, (value >> 8) & 0xFF, (value >> 16) & 0xFF, (value >> 24) & 0xFF);
}
