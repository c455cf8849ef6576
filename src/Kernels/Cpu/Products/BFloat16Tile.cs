namespace CrossAlign.Kernels.Cpu.Products;

/// <summary>The machine code of one tile of bfloat16 products: 8 rows by 32 columns of float32 sums, 16 registers of them.</summary>
/// <remarks>
/// <c>void (uint* left, uint* right, long pairs, float* sums)</c>: a step takes 8 pairs of the left panel and 32 of the right one. A pair is
/// (k, k + 1) in the low and high half of 32 bits. <c>sums</c> (8, 32) is overwritten. The sums lie in registers 16 to 31 and the columns
/// in 0 and 1, none of which a calling convention asks to keep, so that Windows needs no other prologue than the arguments' places.
/// </remarks>
internal static class BFloat16Tile
{
    /// <summary>Rows of the tile: pairs of the left panel a step.</summary>
    public const int Rows = 8;

    /// <summary>Columns of the tile: pairs of the right panel a step.</summary>
    public const int Columns = 32;

    private const int FirstSum = 16;
    private const int Lanes = 16;

    /// <summary>Writes the code.</summary>
    /// <param name="windows">Whether arguments come as on Windows (rcx, rdx, r8, r9) or as elsewhere (rdi, rsi, rdx, rcx).</param>
    /// <returns>Position-independent code.</returns>
    public static byte[] Assemble(bool windows)
    {
        const EvexAssembler.Register Left = EvexAssembler.Register.Rcx;
        const EvexAssembler.Register Right = EvexAssembler.Register.Rdx;
        const EvexAssembler.Register Pairs = EvexAssembler.Register.R8;
        const EvexAssembler.Register Sums = EvexAssembler.Register.R9;
        EvexAssembler code = new();
        if (!windows)
        {
            code.Move(Sums, EvexAssembler.Register.Rcx);
            code.Move(Pairs, EvexAssembler.Register.Rdx);
            code.Move(Left, EvexAssembler.Register.Rdi);
            code.Move(Right, EvexAssembler.Register.Rsi);
        }

        for (int i = 0; i < 2 * Rows; i++)
        {
            code.Zero(FirstSum + i);
        }

        int loop = code.Position;
        code.Load(0, Right, 0);
        code.Load(1, Right, Lanes * sizeof(float));
        for (int row = 0; row < Rows; row++)
        {
            code.MultiplyAddPairs(FirstSum + (2 * row), 0, Left, row * sizeof(uint));
            code.MultiplyAddPairs(FirstSum + (2 * row) + 1, 1, Left, row * sizeof(uint));
        }

        code.Add(Left, Rows * sizeof(uint));
        code.Add(Right, Columns * sizeof(uint));
        code.Decrement(Pairs);
        code.JumpIfNotZero(loop);
        for (int i = 0; i < 2 * Rows; i++)
        {
            code.Store(FirstSum + i, Sums, i * Lanes * sizeof(float));
        }

        code.Return();
        return code.ToArray();
    }
}
