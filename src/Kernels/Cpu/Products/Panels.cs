using System.Runtime.CompilerServices;
using CrossAlign.Kernels.Cpu.Simd;
using CrossAlign.Runtime;

namespace CrossAlign.Kernels.Cpu.Products;

/// <summary>
/// Packed operands, and products of them: the part of the matrix product that fused operations build on.
/// </summary>
/// <remarks>
/// <para>A panel holds <c>width</c> lanes (rows of the left operand, columns of the right one): <c>width</c> floats for each k, the
/// lanes that do not exist as zeros. Panel p of an operand of a given depth begins at <c>p * width * depth</c>. The width is
/// <see cref="LeftWidth"/> for the left operand and <see cref="RightWidth"/> for the right one.</para>
/// <para>To use it in an <see cref="ISimdKernel"/>: take <see cref="LeftFloats"/> and <see cref="RightFloats"/> floats of scratch, fill them
/// with <see cref="PackLeft"/> and <see cref="PackRight"/> (which convert, scale and transpose), then call <see cref="Multiply"/> as often
/// as needed. An operand packed once may be used for many products; <see cref="DepthBlock"/> rows of k at a time are kept in the
/// first-level cache, so any depth will do. 64 to 256 rows by 256 columns is a good tile.</para>
/// </remarks>
/// <typeparam name="TVector">The vector width.</typeparam>
internal static unsafe class Panels<TVector>
    where TVector : unmanaged, ISimdFloat<TVector>
{
    /// <summary>The longest run of k that is summed in registers before the sums are added to the result.</summary>
    public static int DepthBlock
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => TVector.Count == 16 ? 768 : 512;
    }

    /// <summary>Lanes of a left panel.</summary>
    public static int LeftWidth
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => MicroKernel<TVector>.Rows;
    }

    /// <summary>Lanes of a right panel.</summary>
    public static int RightWidth
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => MicroKernel<TVector>.Columns;
    }

    /// <summary>Floats that a packed left operand takes.</summary>
    public static long LeftFloats(int rows, int depth) => (long)Panels.Blocks(rows, LeftWidth) * LeftWidth * depth;

    /// <summary>Floats that a packed right operand takes.</summary>
    public static long RightFloats(int columns, int depth) => (long)Panels.Blocks(columns, RightWidth) * RightWidth * depth;

    /// <summary>Packs rows of a left operand.</summary>
    /// <param name="source">Element (row, k) lies at <c>source[row * stride + k]</c>, or at <c>source[k * stride + row]</c> if <paramref name="transposed"/>.</param>
    /// <param name="dtype">Float32 or BFloat16.</param>
    /// <param name="stride">See <paramref name="source"/>.</param>
    /// <param name="transposed">See <paramref name="source"/>.</param>
    /// <param name="rows">How many rows.</param>
    /// <param name="depth">How many k.</param>
    /// <param name="scale">Multiplies every element.</param>
    /// <param name="panels">Overwritten: <see cref="LeftFloats"/> floats.</param>
    public static void PackLeft(void* source, DType dtype, nint stride, bool transposed, int rows, int depth, float scale, float* panels) =>
        PackLeftPart(source, dtype, stride, transposed, rows, depth, scale, panels, depth);

    /// <summary>Packs some k of a left operand: like <see cref="PackLeft"/>, into panels of a greater depth.</summary>
    /// <param name="source">The element of the first k to be packed; see <see cref="PackLeft"/>.</param>
    /// <param name="dtype">Float32 or BFloat16.</param>
    /// <param name="stride">See <see cref="PackLeft"/>.</param>
    /// <param name="transposed">See <see cref="PackLeft"/>.</param>
    /// <param name="rows">How many rows.</param>
    /// <param name="depth">How many k to pack.</param>
    /// <param name="scale">Multiplies every element.</param>
    /// <param name="panels">Where the first k goes in the first panel.</param>
    /// <param name="panelDepth">The depth of the panels.</param>
    /// <param name="round">Whether float32 elements are rounded to bfloat16 (<see cref="MatMulPrecision.BFloat16"/>).</param>
    public static void PackLeftPart(
        void* source, DType dtype, nint stride, bool transposed, int rows, int depth, float scale, float* panels, int panelDepth, bool round = false) =>
        PanelPacking<TVector>.Pack(source, dtype, stride, transposed, LeftWidth, rows, depth, scale, panels, panelDepth, round);

    /// <summary>Packs columns of a right operand.</summary>
    /// <param name="source">Element (k, column) lies at <c>source[column * stride + k]</c>, or at <c>source[k * stride + column]</c> if <paramref name="transposed"/>.</param>
    /// <param name="dtype">Float32 or BFloat16.</param>
    /// <param name="stride">See <paramref name="source"/>.</param>
    /// <param name="transposed">See <paramref name="source"/>.</param>
    /// <param name="columns">How many columns.</param>
    /// <param name="depth">How many k.</param>
    /// <param name="scale">Multiplies every element.</param>
    /// <param name="panels">Overwritten: <see cref="RightFloats"/> floats.</param>
    public static void PackRight(void* source, DType dtype, nint stride, bool transposed, int columns, int depth, float scale, float* panels) =>
        PackRightPart(source, dtype, stride, transposed, columns, depth, scale, panels, depth);

    /// <summary>Packs some k of a right operand: like <see cref="PackRight"/>, into panels of a greater depth.</summary>
    /// <param name="source">The element of the first k to be packed; see <see cref="PackRight"/>.</param>
    /// <param name="dtype">Float32 or BFloat16.</param>
    /// <param name="stride">See <see cref="PackRight"/>.</param>
    /// <param name="transposed">See <see cref="PackRight"/>.</param>
    /// <param name="columns">How many columns.</param>
    /// <param name="depth">How many k to pack.</param>
    /// <param name="scale">Multiplies every element.</param>
    /// <param name="panels">Where the first k goes in the first panel.</param>
    /// <param name="panelDepth">The depth of the panels.</param>
    /// <param name="round">Whether float32 elements are rounded to bfloat16 (<see cref="MatMulPrecision.BFloat16"/>).</param>
    public static void PackRightPart(
        void* source, DType dtype, nint stride, bool transposed, int columns, int depth, float scale, float* panels, int panelDepth, bool round = false) =>
        PanelPacking<TVector>.Pack(source, dtype, stride, transposed, RightWidth, columns, depth, scale, panels, panelDepth, round);

    /// <summary><c>c = left right</c>, or <c>c += left right</c>, for packed operands of the same depth.</summary>
    /// <param name="left">Packed by <see cref="PackLeft"/>.</param>
    /// <param name="right">Packed by <see cref="PackRight"/>.</param>
    /// <param name="rows">Rows of the left operand.</param>
    /// <param name="columns">Columns of the right operand.</param>
    /// <param name="depth">The depth that both were packed with.</param>
    /// <param name="c">(rows, columns), row-major.</param>
    /// <param name="columnStride">Floats from one row of <paramref name="c"/> to the next; a multiple of 16 is best.</param>
    /// <param name="accumulate">Whether <paramref name="c"/> is added to.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Multiply(float* left, float* right, int rows, int columns, int depth, float* c, nint columnStride, bool accumulate)
    {
        int blocks = Math.Max(1, Panels.Blocks(depth, DepthBlock));
        for (int block = 0; block < blocks; block++)
        {
            int start = (int)((long)depth * block / blocks);
            int length = (int)((long)depth * (block + 1) / blocks) - start;
            for (int column = 0; column < columns; column += RightWidth)
            {
                float* rightPanel = right + ((nint)column * depth) + ((nint)start * RightWidth);
                for (int row = 0; row < rows; row += LeftWidth)
                {
                    float* leftPanel = left + ((nint)row * depth) + ((nint)start * LeftWidth);
                    MicroKernel<TVector>.Run(
                        leftPanel,
                        1,
                        LeftWidth,
                        rightPanel,
                        length,
                        c + (row * columnStride) + column,
                        columnStride,
                        Math.Min(LeftWidth, rows - row),
                        Math.Min(RightWidth, columns - column),
                        1,
                        accumulate || block > 0,
                        null);
                }
            }
        }
    }
}

/// <summary>What packed operands need of arithmetic, whatever the vector width.</summary>
internal static class Panels
{
    /// <summary>How many pieces of a size cover a length.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int Blocks(long length, long size) => (int)((length + size - 1) / size);
}
