using System.Buffers.Binary;
using System.Globalization;
using System.Runtime.InteropServices;
using CrossAlign.Kernels.Cpu.Products;
using CrossAlign.Runtime;

namespace CrossAlign.Kernels.Tests;

/// <summary>
/// The machine code of the bfloat16 tile on processors that lack its instruction: its bytes against another assembler's listing, and what
/// they do, executed by an interpreter that knows the encoding from the manual and nothing of the program's assembler.
/// </summary>
public sealed class BFloat16TileTests
{
    [Theory]
    [InlineData(false, "bf16-tile-sysv.txt")]
    [InlineData(true, "bf16-tile-windows.txt")]
    public void TheCodeIsTheListing(bool windows, string listing)
    {
        // Lines of a disassembler: the bytes, then the instruction.
        string[] lines = File.ReadAllLines(Path.Combine(AppContext.BaseDirectory, "fixtures", "machine-code", listing));
        string expected = string.Concat(lines.Where(l => l.Length > 0 && l[0] != '#').Select(l => l.Split('\t')[0].Replace(" ", string.Empty, StringComparison.Ordinal)));
        Assert.Equal(expected, Convert.ToHexStringLower(BFloat16Tile.Assemble(windows)));
    }

    [Theory]
    [InlineData(false, 1)]
    [InlineData(false, 7)]
    [InlineData(true, 3)]
    public void TheCodeDoesWhatTheInstructionIsDescribedToDo(bool windows, int pairs)
    {
        const int Guard = 64;
        int left = Guard;
        int right = left + (pairs * BFloat16Tile.Rows * 4) + Guard;
        int sums = right + (pairs * BFloat16Tile.Columns * 4) + Guard;
        byte[] memory = new byte[sums + (BFloat16Tile.Rows * BFloat16Tile.Columns * 4) + Guard];
        CounterRandom random = new(3, 0, 0);
        for (int i = 0; i < sums / 4; i++)
        {
            BinaryPrimitives.WriteUInt32LittleEndian(memory.AsSpan(4 * i), Pair(random.NextNormal(), random.NextNormal()));
        }

        byte[] before = [.. memory];
        long[] arguments = [left, right, pairs, sums];
        MachineCode machine = new(BFloat16Tile.Assemble(windows), memory);
        machine.Run(windows ? [1, 2, 8, 9] : [7, 6, 2, 1], arguments);

        Assert.Equal(before.AsSpan(0, sums), memory.AsSpan(0, sums));
        Assert.Equal(new byte[Guard], memory[^Guard..]);
        for (int row = 0; row < BFloat16Tile.Rows; row++)
        {
            for (int column = 0; column < BFloat16Tile.Columns; column++)
            {
                float expected = 0;
                for (int pair = 0; pair < pairs; pair++)
                {
                    expected = BFloat16Products.MultiplyAddPair(
                        expected,
                        BinaryPrimitives.ReadUInt32LittleEndian(memory.AsSpan(left + (4 * ((pair * BFloat16Tile.Rows) + row)))),
                        BinaryPrimitives.ReadUInt32LittleEndian(memory.AsSpan(right + (4 * ((pair * BFloat16Tile.Columns) + column)))));
                }

                Assert.Equal(expected, BinaryPrimitives.ReadSingleLittleEndian(memory.AsSpan(sums + (4 * ((row * BFloat16Tile.Columns) + column)))));
            }
        }
    }

    [Fact]
    public void PagesOfCodeAreExecuted()
    {
        Assert.SkipWhen(RuntimeInformation.ProcessArchitecture != Architecture.X64, "Machine code is written for x64.");

        // mov eax, 42; ret.
        using ExecutableMemory code = ExecutableMemory.Create([0xB8, 42, 0, 0, 0, 0xC3]);
        unsafe
        {
            Assert.Equal(42, ((delegate* unmanaged<int>)code.Address)());
        }
    }

    [Fact]
    public void TheModeIsExplained()
    {
        bool native = BFloat16Products.Mode == BFloat16Mode.Native;
        Assert.Equal(native, BFloat16Products.UnavailableReason is null);
        Assert.True(!native || CpuFeatures.HasBFloat16Products);
        string? asked = Environment.GetEnvironmentVariable(BFloat16Products.Variable);
        Assert.Equal(asked == "software", BFloat16Products.Mode == BFloat16Mode.Software);
    }

    private static uint Pair(float low, float high) =>
        (BitConverter.SingleToUInt32Bits(BFloat16.FromSingle(low).ToSingle()) >> 16) | BitConverter.SingleToUInt32Bits(BFloat16.FromSingle(high).ToSingle());

    /// <summary>Executes the instructions that the tile consists of; any other is an error.</summary>
    private sealed class MachineCode(byte[] code, byte[] memory)
    {
        private readonly long[] _general = new long[16];
        private readonly uint[,] _vectors = new uint[32, 16];
        private int _at;
        private bool _zero;

        public void Run(int[] registers, long[] arguments)
        {
            Random.Shared.NextBytes(MemoryMarshal.AsBytes(_general.AsSpan()));
            for (int i = 0; i < registers.Length; i++)
            {
                _general[registers[i]] = arguments[i];
            }

            for (int i = 0; i < _vectors.Length; i++)
            {
                _vectors[i / 16, i % 16] = 0x7FC00000;
            }

            while (Step())
            {
            }
        }

        private bool Step()
        {
            byte first = code[_at];
            if (first == 0x62)
            {
                StepVector();
                return true;
            }

            if (first is >= 0x48 and <= 0x4F)
            {
                int b = (first & 1) << 3;
                int r = (first & 4) << 1;
                byte opcode = code[_at + 1];
                byte modrm = code[_at + 2];
                Assert.Equal(3, modrm >> 6);
                int rm = b | (modrm & 7);
                switch (opcode, (modrm >> 3) & 7)
                {
                    case (0x89, _):
                        _general[rm] = _general[r | ((modrm >> 3) & 7)];
                        _at += 3;
                        return true;
                    case (0x81, 0):
                        _general[rm] += BinaryPrimitives.ReadInt32LittleEndian(code.AsSpan(_at + 3));
                        _at += 7;
                        return true;
                    case (0x83, 0):
                        _general[rm] += (sbyte)code[_at + 3];
                        _at += 4;
                        return true;
                    case (0xFF, 1):
                        _zero = --_general[rm] == 0;
                        _at += 3;
                        return true;
                }
            }
            else if (first == 0x0F && code[_at + 1] == 0x85)
            {
                _at += 6 + (_zero ? 0 : BinaryPrimitives.ReadInt32LittleEndian(code.AsSpan(_at + 2)));
                return true;
            }
            else if (code.AsSpan(_at).SequenceEqual<byte>([0xC5, 0xF8, 0x77, 0xC3]))
            {
                return false;
            }

            throw new InvalidOperationException(string.Create(CultureInfo.InvariantCulture, $"Unknown instruction at {_at}: {Convert.ToHexString(code.AsSpan(_at, Math.Min(8, code.Length - _at)))}."));
        }

        private void StepVector()
        {
            byte p0 = code[_at + 1];
            byte p1 = code[_at + 2];
            byte p2 = code[_at + 3];
            byte opcode = code[_at + 4];
            byte modrm = code[_at + 5];

            // Bits that are fixed: no W, no mask, 512 bits.
            Assert.Equal(0, p0 & 0x08);
            Assert.Equal(4, p1 & 0x84);
            Assert.Equal(0x40, p2 & 0xE7);
            int reg = ((modrm >> 3) & 7) | ((~p0 >> 4) & 8) | (~p0 & 0x10);
            int source = ((~p1 >> 3) & 15) | ((~p2 << 1) & 0x10);
            bool broadcast = (p2 & 0x10) != 0;
            int mod = modrm >> 6;
            _at += 6;
            int rm;
            long address = 0;
            if (mod == 3)
            {
                rm = (modrm & 7) | ((~p0 >> 2) & 8) | ((~p0 >> 2) & 0x10);
            }
            else
            {
                Assert.NotEqual(4, modrm & 7);
                Assert.NotEqual(5, modrm & 7);
                Assert.InRange(mod, 0, 1);
                rm = (modrm & 7) | ((~p0 >> 2) & 8);
                address = _general[rm] + (mod == 0 ? 0 : (sbyte)code[_at++] * (broadcast ? 4 : 64));
            }

            switch (p0 & 7, p1 & 3, opcode)
            {
                case (1, 1, 0xEF):
                    Each(lane => _vectors[reg, lane] = _vectors[source, lane] ^ _vectors[rm, lane]);
                    break;
                case (1, 0, 0x10):
                    Assert.Equal(0, source);
                    Each(lane => _vectors[reg, lane] = Read(address + (4 * lane)));
                    break;
                case (1, 0, 0x11):
                    Assert.Equal(0, source);
                    Each(lane => BinaryPrimitives.WriteUInt32LittleEndian(memory.AsSpan((int)address + (4 * lane)), _vectors[reg, lane]));
                    break;
                case (2, 2, 0x52):
                    Each(lane => _vectors[reg, lane] = MultiplyAdd(_vectors[reg, lane], _vectors[source, lane], Read(address + (broadcast ? 0 : 4 * lane))));
                    break;
                default:
                    throw new InvalidOperationException($"Unknown vector instruction {opcode:X2}.");
            }
        }

        private uint Read(long address) => BinaryPrimitives.ReadUInt32LittleEndian(memory.AsSpan((int)address));

        // The manual's pseudo-code: the odd halves, then the even ones, each rounded once.
        private static uint MultiplyAdd(uint sum, uint a, uint b)
        {
            float s = BitConverter.UInt32BitsToSingle(sum);
            for (int half = 1; half >= 0; half--)
            {
                float x = BitConverter.UInt32BitsToSingle((half == 1 ? a >> 16 : a & 0xFFFF) << 16);
                float y = BitConverter.UInt32BitsToSingle((half == 1 ? b >> 16 : b & 0xFFFF) << 16);
                s = (float)(((double)x * y) + s);
            }

            return BitConverter.SingleToUInt32Bits(s);
        }

        private static void Each(Action<int> action)
        {
            for (int lane = 0; lane < 16; lane++)
            {
                action(lane);
            }
        }
    }
}
