using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using CrossAlign.Kernels.Cpu.Simd;

namespace CrossAlign.Kernels.Cpu.Products;

/// <summary>
/// Panels (see <see cref="Panels{TVector}"/>) of bfloat16 pairs: 32 bits a lane hold k in the low and k + 1 in the high half, an odd last k
/// stands beside a zero. They are made from float32 panels in place and take the first half of their room.
/// </summary>
/// <typeparam name="TVector">The vector width.</typeparam>
internal static unsafe class PairPanels<TVector>
    where TVector : unmanaged, ISimdFloat<TVector>
{
    /// <summary>Pairs up a panel whose numbers were rounded to bfloat16 when it was packed.</summary>
    /// <param name="panel">Float32 on entry, pairs on return.</param>
    /// <param name="width">Lanes of the panel.</param>
    /// <param name="depth">How many k.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Pair(float* panel, int width, int depth)
    {
        // A pair is written where nothing is read any more: its row is at most the first one that it is made of.
        uint* low = (uint*)panel;
        uint* destination = (uint*)panel;
        for (int k = 0; k < depth; k += 2)
        {
            uint* high = low + width;
            bool alone = k + 1 == depth;
            int lane = 0;
            for (; Vector256.IsHardwareAccelerated && lane + 8 <= width; lane += 8)
            {
                Vector256<uint> upper = alone ? Vector256<uint>.Zero : Vector256.Load(high + lane) & Vector256.Create(0xFFFF0000u);
                (Vector256.ShiftRightLogical(Vector256.Load(low + lane), 16) | upper).Store(destination + lane);
            }

            for (; lane < width; lane++)
            {
                destination[lane] = (low[lane] >> 16) | (alone ? 0 : high[lane] & 0xFFFF0000u);
            }

            low += 2 * width;
            destination += width;
        }
    }

    /// <summary>Computes one tile, <c>c = alpha * left right [+ c] [+ bias]</c>, of paired panels.</summary>
    /// <param name="left">A paired left panel.</param>
    /// <param name="right">A paired right panel.</param>
    /// <param name="depth">How many k.</param>
    /// <param name="c">The first element of the tile in a row-major matrix.</param>
    /// <param name="columnCount">The number of columns of that matrix.</param>
    /// <param name="rows">Rows that exist; no others are written.</param>
    /// <param name="columns">Columns that exist; no others are written.</param>
    /// <param name="alpha">Multiplies the sums.</param>
    /// <param name="accumulate">Whether c is added to.</param>
    /// <param name="bias">One value a column, or null.</param>
    [SkipLocalsInit]
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void MultiplyTile(
        float* left, float* right, int depth, float* c, nint columnCount, int rows, int columns, float alpha, bool accumulate, float* bias)
    {
        float* sums = stackalloc float[MicroKernel<TVector>.MaxTileFloats];
        int width = Panels<TVector>.RightWidth;
        int pairs = (depth + 1) / 2;
        if (pairs == 0 || BFloat16Products.Mode != BFloat16Mode.Native)
        {
            Software((uint*)left, (uint*)right, pairs, sums);
        }
        else
        {
            BFloat16Products.Tile((uint*)left, (uint*)right, pairs, sums);
        }

        TVector factor = TVector.Broadcast(alpha);
        int whole = columns == width ? width : 0;
        for (int row = 0; row < rows; row++)
        {
            for (int column = 0; column < whole; column += TVector.Count)
            {
                TVector sum = TVector.Load(sums + column) * factor;
                sum = accumulate ? sum + TVector.Load(c + column) : sum;
                TVector.Store(bias == null ? sum : sum + TVector.Load(bias + column), c + column);
            }

            for (int column = whole; column < columns; column++)
            {
                float sum = sums[column] * alpha;
                sum = accumulate ? sum + c[column] : sum;
                c[column] = bias == null ? sum : sum + bias[column];
            }

            sums += width;
            c += columnCount;
        }
    }

    /// <summary><c>c = left right</c>, or <c>c += left right</c>, for paired operands.</summary>
    /// <param name="left">Left panels, each paired.</param>
    /// <param name="right">Right panels, each paired.</param>
    /// <param name="rows">Rows of the left operand.</param>
    /// <param name="columns">Columns of the right operand.</param>
    /// <param name="depth">The depth that both were packed with.</param>
    /// <param name="c">(rows, columns), row-major.</param>
    /// <param name="columnStride">Floats from one row of <paramref name="c"/> to the next.</param>
    /// <param name="accumulate">Whether <paramref name="c"/> is added to.</param>
    public static void Multiply(float* left, float* right, int rows, int columns, int depth, float* c, nint columnStride, bool accumulate)
    {
        int height = Panels<TVector>.LeftWidth;
        int width = Panels<TVector>.RightWidth;
        for (int column = 0; column < columns; column += width)
        {
            for (int row = 0; row < rows; row += height)
            {
                MultiplyTile(
                    left + ((nint)row * depth),
                    right + ((nint)column * depth),
                    depth,
                    c + (row * columnStride) + column,
                    columnStride,
                    Math.Min(height, rows - row),
                    Math.Min(width, columns - column),
                    1,
                    accumulate,
                    null);
            }
        }
    }

    private static void Software(uint* left, uint* right, int pairs, float* sums)
    {
        int height = Panels<TVector>.LeftWidth;
        int width = Panels<TVector>.RightWidth;
        for (int row = 0; row < height; row++)
        {
            for (int column = 0; column < width; column++)
            {
                float sum = 0;
                for (int pair = 0; pair < pairs; pair++)
                {
                    sum = BFloat16Products.MultiplyAddPair(sum, left[(pair * height) + row], right[(pair * width) + column]);
                }

                sums[(row * width) + column] = sum;
            }
        }
    }
}
