using System.ComponentModel;
using CrossAlign.Runtime;

namespace CrossAlign.Kernels.Cpu.Products;

/// <summary>
/// Whether products of bfloat16 are formed by the processor's own instruction, <c>vdpbf16ps</c>, through a kernel that is written as machine code
/// and tried out against plain arithmetic before it is used. The environment variable <c>CROSSALIGN_BF16</c> says <c>off</c>, or <c>software</c>: the same
/// path with the instruction done in C#, slowly, so that it can be tested on any processor.
/// </summary>
internal static unsafe class BFloat16Products
{
    /// <summary>The environment variable.</summary>
    public const string Variable = "CROSSALIGN_BF16";

    private static readonly ExecutableMemory? s_code;

    static BFloat16Products()
    {
        string asked = Environment.GetEnvironmentVariable(Variable) ?? string.Empty;
        if (asked == "software")
        {
            Mode = BFloat16Mode.Software;
            UnavailableReason = $"{Variable} is 'software'";
        }
        else if (asked == "off")
        {
            UnavailableReason = $"{Variable} is 'off'";
        }
        else if (!CpuFeatures.HasBFloat16Products)
        {
            UnavailableReason = "the processor has no AVX512_BF16";
        }
        else
        {
            s_code = TryCreate(out string? reason);
            Mode = s_code is null ? BFloat16Mode.None : BFloat16Mode.Native;
            UnavailableReason = reason;
        }
    }

    /// <summary>How products of pairs are formed.</summary>
    public static BFloat16Mode Mode { get; }

    /// <summary>Why the processor's instruction is not used; null where it is.</summary>
    public static string? UnavailableReason { get; }

    /// <summary>The tile's code (see <see cref="BFloat16Tile"/>) in <see cref="BFloat16Mode.Native"/>.</summary>
    public static delegate* unmanaged<uint*, uint*, long, float*, void> Tile => (delegate* unmanaged<uint*, uint*, long, float*, void>)s_code!.Address;

    /// <summary>What <c>vdpbf16ps</c> does in one lane: the high halves first, then the low ones, each a fused multiply-add.</summary>
    /// <remarks>The instruction also takes subnormal numbers as zero, and gives zero for them; no error budget sees that.</remarks>
    /// <param name="sum">Added to.</param>
    /// <param name="a">A pair of bfloat16.</param>
    /// <param name="b">A pair of bfloat16.</param>
    public static float MultiplyAddPair(float sum, uint a, uint b)
    {
        sum = MathF.FusedMultiplyAdd(BitConverter.UInt32BitsToSingle(a & 0xFFFF0000), BitConverter.UInt32BitsToSingle(b & 0xFFFF0000), sum);
        return MathF.FusedMultiplyAdd(BitConverter.UInt32BitsToSingle(a << 16), BitConverter.UInt32BitsToSingle(b << 16), sum);
    }

    private static ExecutableMemory? TryCreate(out string? reason)
    {
        ExecutableMemory code;
        try
        {
            code = ExecutableMemory.Create(BFloat16Tile.Assemble(OperatingSystem.IsWindows()));
        }
        catch (Exception e) when (e is Win32Exception or PlatformNotSupportedException or DllNotFoundException)
        {
            reason = e.Message;
            return null;
        }

        if (Agrees((delegate* unmanaged<uint*, uint*, long, float*, void>)code.Address))
        {
            reason = null;
            return code;
        }

        code.Dispose();
        reason = "the kernel's results differ from plain arithmetic on this processor";
        return null;
    }

    // Numbers of four bits are exact in bfloat16 and so are their sums: a single wrong bit, lane or row shows.
    private static bool Agrees(delegate* unmanaged<uint*, uint*, long, float*, void> tile)
    {
        const int Pairs = 5;
        uint* left = stackalloc uint[Pairs * BFloat16Tile.Rows];
        uint* right = stackalloc uint[Pairs * BFloat16Tile.Columns];
        float* sums = stackalloc float[BFloat16Tile.Rows * BFloat16Tile.Columns];
        CounterRandom random = new(16, 0, 0);
        for (int i = 0; i < Pairs * BFloat16Tile.Rows; i++)
        {
            left[i] = SmallPair(ref random);
        }

        for (int i = 0; i < Pairs * BFloat16Tile.Columns; i++)
        {
            right[i] = SmallPair(ref random);
        }

        tile(left, right, Pairs, sums);
        for (int i = 0; i < BFloat16Tile.Rows * BFloat16Tile.Columns; i++)
        {
            float expected = 0;
            for (int pair = 0; pair < Pairs; pair++)
            {
                expected = MultiplyAddPair(expected, left[(pair * BFloat16Tile.Rows) + (i / BFloat16Tile.Columns)], right[(pair * BFloat16Tile.Columns) + (i % BFloat16Tile.Columns)]);
            }

            if (sums[i] != expected)
            {
                return false;
            }
        }

        return true;
    }

    private static uint SmallPair(ref CounterRandom random) =>
        (BitConverter.SingleToUInt32Bits(random.Next(17) - 8) >> 16) | (BitConverter.SingleToUInt32Bits(random.Next(17) - 8) & 0xFFFF0000);
}
