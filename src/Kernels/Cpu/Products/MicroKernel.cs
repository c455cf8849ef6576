using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;
using CrossAlign.Kernels.Cpu.Simd;

namespace CrossAlign.Kernels.Cpu.Products;

/// <summary>
/// The inner loop of every matrix product: a tile of <see cref="Rows"/> x <see cref="Columns"/> sums held in registers while the depth
/// runs past. 8 x 32 with 512-bit vectors (16 sums, 2 columns, 1 row value of 32 registers), 6 x 16 with 256 (12 + 2 + 1 of 16),
/// 6 x 8 with 128, 6 x 2 without.
/// </summary>
/// <typeparam name="TVector">The vector width.</typeparam>
internal static unsafe class MicroKernel<TVector>
    where TVector : unmanaged, ISimdFloat<TVector>
{
    /// <summary>The most floats that a tile has at any width.</summary>
    public const int MaxTileFloats = 8 * 32;

    /// <summary>Rows of a tile: the lanes of a left panel.</summary>
    public static int Rows
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => TVector.Count == 16 ? 8 : 6;
    }

    /// <summary>Columns of a tile: the lanes of a right panel.</summary>
    public static int Columns
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => 2 * TVector.Count;
    }

    /// <summary>
    /// Computes one tile, <c>c = alpha * left right [+ c] [+ bias]</c>. The bits of an element depend on its row, its column and the
    /// depth alone, whether the tile is whole or not.
    /// </summary>
    /// <param name="left">Element (row, k) lies at <c>left[row * leftRowStride + k * leftDepthStride]</c>: a packed panel (strides 1 and <see cref="Rows"/>) or rows as they lie.</param>
    /// <param name="leftRowStride">See <paramref name="left"/>.</param>
    /// <param name="leftDepthStride">See <paramref name="left"/>.</param>
    /// <param name="right">A packed panel: <see cref="Columns"/> floats for each k.</param>
    /// <param name="depth">How many k.</param>
    /// <param name="c">The first element of the tile in a row-major matrix.</param>
    /// <param name="columnCount">The number of columns of that matrix.</param>
    /// <param name="rows">Rows that exist, 1 to <see cref="Rows"/>; no others are read from unpacked rows, or written.</param>
    /// <param name="columns">Columns that exist, 1 to <see cref="Columns"/>; no others are written.</param>
    /// <param name="alpha">Multiplies the sums.</param>
    /// <param name="accumulate">Whether c is added to.</param>
    /// <param name="bias">One value a column, or null.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Run(
        float* left, nint leftRowStride, nint leftDepthStride, float* right, int depth, float* c, nint columnCount, int rows, int columns, float alpha, bool accumulate, float* bias)
    {
        if (rows == Rows && columns == Columns)
        {
            Whole(left, leftRowStride, leftDepthStride, right, depth, c, columnCount, rows, alpha, accumulate, bias);
        }
        else
        {
            Partial(left, leftRowStride, leftDepthStride, right, depth, c, columnCount, rows, columns, alpha, accumulate, bias);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Whole(
        float* left, nint leftRowStride, nint leftDepthStride, float* right, int depth, float* c, nint columnCount, int rows, float alpha, bool accumulate, float* bias)
    {
        if (TVector.Count == 16)
        {
            EightRows(left, leftRowStride, leftDepthStride, right, depth, c, columnCount, rows, alpha, accumulate, bias);
        }
        else if (TVector.Count == 8)
        {
            MicroKernel256.Whole(left, leftRowStride, leftDepthStride, right, depth, c, columnCount, rows, alpha, accumulate, bias);
        }
        else
        {
            SixRows(left, leftRowStride, leftDepthStride, right, depth, c, columnCount, rows, alpha, accumulate, bias);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Partial(
        float* left, nint leftRowStride, nint leftDepthStride, float* right, int depth, float* c, nint columnCount, int rows, int columns, float alpha, bool accumulate, float* bias)
    {
        // Element by element the same operations in the same order as in a whole tile.
        float* tile = stackalloc float[MaxTileFloats];
        Whole(left, leftRowStride, leftDepthStride, right, depth, tile, Columns, rows, alpha, accumulate: false, bias: null);
        for (int row = 0; row < rows; row++)
        {
            float* source = tile + (row * Columns);
            float* destination = c + (row * columnCount);
            for (int column = 0; column < columns; column++)
            {
                float sum = source[column];
                if (accumulate)
                {
                    sum += destination[column];
                }

                if (bias != null)
                {
                    sum += bias[column];
                }

                destination[column] = sum;
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void SixRows(
        float* left, nint leftRowStride, nint leftDepthStride, float* right, int depth, float* c, nint columnCount, int rows, float alpha, bool accumulate, float* bias)
    {
        Prefetch(c, columnCount, 6, rows);
        TVector c00 = TVector.Zero, c01 = TVector.Zero, c10 = TVector.Zero, c11 = TVector.Zero, c20 = TVector.Zero, c21 = TVector.Zero;
        TVector c30 = TVector.Zero, c31 = TVector.Zero, c40 = TVector.Zero, c41 = TVector.Zero, c50 = TVector.Zero, c51 = TVector.Zero;

        // A row that does not exist reads the last one that does.
        float* a0 = left;
        float* a1 = rows > 1 ? a0 + leftRowStride : a0;
        float* a2 = rows > 2 ? a1 + leftRowStride : a1;
        float* a3 = rows > 3 ? a2 + leftRowStride : a2;
        float* a4 = rows > 4 ? a3 + leftRowStride : a3;
        float* a5 = rows > 5 ? a4 + leftRowStride : a4;
        nint k = 0;
        for (int i = depth; i > 0; i--)
        {
            TVector b0 = TVector.Load(right);
            TVector b1 = TVector.Load(right + TVector.Count);
            right += Columns;
            TVector a = TVector.Broadcast(a0[k]);
            c00 = MultiplyAdd(a, b0, c00);
            c01 = MultiplyAdd(a, b1, c01);
            a = TVector.Broadcast(a1[k]);
            c10 = MultiplyAdd(a, b0, c10);
            c11 = MultiplyAdd(a, b1, c11);
            a = TVector.Broadcast(a2[k]);
            c20 = MultiplyAdd(a, b0, c20);
            c21 = MultiplyAdd(a, b1, c21);
            a = TVector.Broadcast(a3[k]);
            c30 = MultiplyAdd(a, b0, c30);
            c31 = MultiplyAdd(a, b1, c31);
            a = TVector.Broadcast(a4[k]);
            c40 = MultiplyAdd(a, b0, c40);
            c41 = MultiplyAdd(a, b1, c41);
            a = TVector.Broadcast(a5[k]);
            c50 = MultiplyAdd(a, b0, c50);
            c51 = MultiplyAdd(a, b1, c51);
            k += leftDepthStride;
        }

        Store(c00, c01, c, alpha, accumulate, bias);
        Store(c10, c11, c += columnCount, alpha, accumulate, bias);
        Store(c20, c21, c += columnCount, alpha, accumulate, bias);
        Store(c30, c31, c += columnCount, alpha, accumulate, bias);
        Store(c40, c41, c += columnCount, alpha, accumulate, bias);
        Store(c50, c51, c + columnCount, alpha, accumulate, bias);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void EightRows(
        float* left, nint leftRowStride, nint leftDepthStride, float* right, int depth, float* c, nint columnCount, int rows, float alpha, bool accumulate, float* bias)
    {
        Prefetch(c, columnCount, 8, rows);
        TVector c00 = TVector.Zero, c01 = TVector.Zero, c10 = TVector.Zero, c11 = TVector.Zero;
        TVector c20 = TVector.Zero, c21 = TVector.Zero, c30 = TVector.Zero, c31 = TVector.Zero;
        TVector c40 = TVector.Zero, c41 = TVector.Zero, c50 = TVector.Zero, c51 = TVector.Zero;
        TVector c60 = TVector.Zero, c61 = TVector.Zero, c70 = TVector.Zero, c71 = TVector.Zero;
        float* a0 = left;
        float* a1 = rows > 1 ? a0 + leftRowStride : a0;
        float* a2 = rows > 2 ? a1 + leftRowStride : a1;
        float* a3 = rows > 3 ? a2 + leftRowStride : a2;
        float* a4 = rows > 4 ? a3 + leftRowStride : a3;
        float* a5 = rows > 5 ? a4 + leftRowStride : a4;
        float* a6 = rows > 6 ? a5 + leftRowStride : a5;
        float* a7 = rows > 7 ? a6 + leftRowStride : a6;
        nint k = 0;
        for (int i = depth; i > 0; i--)
        {
            TVector b0 = TVector.Load(right);
            TVector b1 = TVector.Load(right + TVector.Count);
            right += Columns;
            TVector a = TVector.Broadcast(a0[k]);
            c00 = MultiplyAdd(a, b0, c00);
            c01 = MultiplyAdd(a, b1, c01);
            a = TVector.Broadcast(a1[k]);
            c10 = MultiplyAdd(a, b0, c10);
            c11 = MultiplyAdd(a, b1, c11);
            a = TVector.Broadcast(a2[k]);
            c20 = MultiplyAdd(a, b0, c20);
            c21 = MultiplyAdd(a, b1, c21);
            a = TVector.Broadcast(a3[k]);
            c30 = MultiplyAdd(a, b0, c30);
            c31 = MultiplyAdd(a, b1, c31);
            a = TVector.Broadcast(a4[k]);
            c40 = MultiplyAdd(a, b0, c40);
            c41 = MultiplyAdd(a, b1, c41);
            a = TVector.Broadcast(a5[k]);
            c50 = MultiplyAdd(a, b0, c50);
            c51 = MultiplyAdd(a, b1, c51);
            a = TVector.Broadcast(a6[k]);
            c60 = MultiplyAdd(a, b0, c60);
            c61 = MultiplyAdd(a, b1, c61);
            a = TVector.Broadcast(a7[k]);
            c70 = MultiplyAdd(a, b0, c70);
            c71 = MultiplyAdd(a, b1, c71);
            k += leftDepthStride;
        }

        Store(c00, c01, c, alpha, accumulate, bias);
        Store(c10, c11, c += columnCount, alpha, accumulate, bias);
        Store(c20, c21, c += columnCount, alpha, accumulate, bias);
        Store(c30, c31, c += columnCount, alpha, accumulate, bias);
        Store(c40, c41, c += columnCount, alpha, accumulate, bias);
        Store(c50, c51, c += columnCount, alpha, accumulate, bias);
        Store(c60, c61, c += columnCount, alpha, accumulate, bias);
        Store(c70, c71, c + columnCount, alpha, accumulate, bias);
    }

    // Without vectors a fused multiply-add is a call into the C library, some ten times slower than the product and the sum.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static TVector MultiplyAdd(TVector a, TVector b, TVector c) => TVector.Count == 1 ? (a * b) + c : TVector.MultiplyAdd(a, b, c);

    // The tile's rows lie far apart; asked for now, they are there when the sums are done.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Prefetch(float* c, nint columnCount, int tileRows, int rows)
    {
        if (Sse.IsSupported && rows == tileRows)
        {
            for (int row = 0; row < tileRows; row++)
            {
                Sse.Prefetch0(c + (row * columnCount));
                Sse.Prefetch0(c + (row * columnCount) + Columns - 1);
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Store(TVector left, TVector right, float* c, float alpha, bool accumulate, float* bias)
    {
        TVector factor = TVector.Broadcast(alpha);
        left *= factor;
        right *= factor;
        if (accumulate)
        {
            left += TVector.Load(c);
            right += TVector.Load(c + TVector.Count);
        }

        if (bias != null)
        {
            left += TVector.Load(bias);
            right += TVector.Load(bias + TVector.Count);
        }

        TVector.Store(left, c);
        TVector.Store(right, c + TVector.Count);
    }
}
