using System.Runtime.CompilerServices;
using CrossAlign.Kernels.Cpu.Simd;

namespace CrossAlign.Kernels.Cpu;

/// <summary>
/// Small matrix products on float32 where they lie: <c>output(r, w) = sum over k of a(r, k) b(k, w)</c>, with any strides of a and
/// whole vectors along w. Four rows by up to three vectors are kept in registers. Each element is summed in the order of k.
/// </summary>
/// <remarks>Rows of the output are written in fours: it must have room for the rows rounded up to a multiple of four; what stands in the
/// rows beyond is undefined. Rows of a beyond the last are never read.</remarks>
internal static unsafe class StridedProduct
{
    /// <summary>Multiplies.</summary>
    /// <param name="rows">Rows of a, at least 1.</param>
    /// <param name="depth">The length of the sums; with 0 they are zero.</param>
    /// <param name="a">a(0, 0).</param>
    /// <param name="aRow">From a(r, k) to a(r + 1, k).</param>
    /// <param name="aDepth">From a(r, k) to a(r, k + 1).</param>
    /// <param name="b">b(0, 0); its rows are contiguous.</param>
    /// <param name="bDepth">From b(k, w) to b(k + 1, w).</param>
    /// <param name="width">Columns of b, a multiple of the lanes.</param>
    /// <param name="output">Overwritten, or added to with <paramref name="accumulate"/>.</param>
    /// <param name="outputRow">From output(r, w) to output(r + 1, w).</param>
    /// <param name="accumulate">Whether the output is added to.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Multiply<TVector>(
        int rows, int depth, float* a, long aRow, long aDepth, float* b, long bDepth, int width, float* output, long outputRow, bool accumulate)
        where TVector : unmanaged, ISimdFloat<TVector>
    {
        int last = rows - 1;
        int column = 0;
        while (column < width)
        {
            int vectors = (width - column) / TVector.Count;

            // Four vectors go as two and two: three and one would leave the second tile waiting for its own sums.
            int taken = vectors is 3 or > 4 ? 3 : Math.Min(vectors, 2);
            for (int row = 0; row < rows; row += 4)
            {
                float* a0 = a + (row * aRow);
                float* a1 = a + (Math.Min(row + 1, last) * aRow);
                float* a2 = a + (Math.Min(row + 2, last) * aRow);
                float* a3 = a + (Math.Min(row + 3, last) * aRow);
                float* tile = output + (row * outputRow) + column;
                switch (taken)
                {
                    case 3:
                        Tile3<TVector>(depth, a0, a1, a2, a3, aDepth, b + column, bDepth, tile, outputRow, accumulate);
                        break;
                    case 2:
                        Tile2<TVector>(depth, a0, a1, a2, a3, aDepth, b + column, bDepth, tile, outputRow, accumulate);
                        break;
                    default:
                        Tile1<TVector>(depth, a0, a1, a2, a3, aDepth, b + column, bDepth, tile, outputRow, accumulate);
                        break;
                }
            }

            column += taken * TVector.Count;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Tile3<TVector>(
        int depth, float* a0, float* a1, float* a2, float* a3, long aDepth, float* b, long bDepth, float* output, long outputRow, bool accumulate)
        where TVector : unmanaged, ISimdFloat<TVector>
    {
        TVector c00 = TVector.Zero;
        TVector c01 = TVector.Zero;
        TVector c02 = TVector.Zero;
        TVector c10 = TVector.Zero;
        TVector c11 = TVector.Zero;
        TVector c12 = TVector.Zero;
        TVector c20 = TVector.Zero;
        TVector c21 = TVector.Zero;
        TVector c22 = TVector.Zero;
        TVector c30 = TVector.Zero;
        TVector c31 = TVector.Zero;
        TVector c32 = TVector.Zero;
        for (int k = 0; k < depth; k++)
        {
            TVector b0 = TVector.Load(b);
            TVector b1 = TVector.Load(b + TVector.Count);
            TVector b2 = TVector.Load(b + (2 * TVector.Count));
            TVector x = TVector.Broadcast(*a0);
            c00 = TVector.MultiplyAdd(x, b0, c00);
            c01 = TVector.MultiplyAdd(x, b1, c01);
            c02 = TVector.MultiplyAdd(x, b2, c02);
            x = TVector.Broadcast(*a1);
            c10 = TVector.MultiplyAdd(x, b0, c10);
            c11 = TVector.MultiplyAdd(x, b1, c11);
            c12 = TVector.MultiplyAdd(x, b2, c12);
            x = TVector.Broadcast(*a2);
            c20 = TVector.MultiplyAdd(x, b0, c20);
            c21 = TVector.MultiplyAdd(x, b1, c21);
            c22 = TVector.MultiplyAdd(x, b2, c22);
            x = TVector.Broadcast(*a3);
            c30 = TVector.MultiplyAdd(x, b0, c30);
            c31 = TVector.MultiplyAdd(x, b1, c31);
            c32 = TVector.MultiplyAdd(x, b2, c32);
            a0 += aDepth;
            a1 += aDepth;
            a2 += aDepth;
            a3 += aDepth;
            b += bDepth;
        }

        StoreRow(c00, c01, c02, output, accumulate);
        StoreRow(c10, c11, c12, output + outputRow, accumulate);
        StoreRow(c20, c21, c22, output + (2 * outputRow), accumulate);
        StoreRow(c30, c31, c32, output + (3 * outputRow), accumulate);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Tile2<TVector>(
        int depth, float* a0, float* a1, float* a2, float* a3, long aDepth, float* b, long bDepth, float* output, long outputRow, bool accumulate)
        where TVector : unmanaged, ISimdFloat<TVector>
    {
        TVector c00 = TVector.Zero;
        TVector c01 = TVector.Zero;
        TVector c10 = TVector.Zero;
        TVector c11 = TVector.Zero;
        TVector c20 = TVector.Zero;
        TVector c21 = TVector.Zero;
        TVector c30 = TVector.Zero;
        TVector c31 = TVector.Zero;
        for (int k = 0; k < depth; k++)
        {
            TVector b0 = TVector.Load(b);
            TVector b1 = TVector.Load(b + TVector.Count);
            TVector x = TVector.Broadcast(*a0);
            c00 = TVector.MultiplyAdd(x, b0, c00);
            c01 = TVector.MultiplyAdd(x, b1, c01);
            x = TVector.Broadcast(*a1);
            c10 = TVector.MultiplyAdd(x, b0, c10);
            c11 = TVector.MultiplyAdd(x, b1, c11);
            x = TVector.Broadcast(*a2);
            c20 = TVector.MultiplyAdd(x, b0, c20);
            c21 = TVector.MultiplyAdd(x, b1, c21);
            x = TVector.Broadcast(*a3);
            c30 = TVector.MultiplyAdd(x, b0, c30);
            c31 = TVector.MultiplyAdd(x, b1, c31);
            a0 += aDepth;
            a1 += aDepth;
            a2 += aDepth;
            a3 += aDepth;
            b += bDepth;
        }

        StoreRow(c00, c01, output, accumulate);
        StoreRow(c10, c11, output + outputRow, accumulate);
        StoreRow(c20, c21, output + (2 * outputRow), accumulate);
        StoreRow(c30, c31, output + (3 * outputRow), accumulate);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Tile1<TVector>(
        int depth, float* a0, float* a1, float* a2, float* a3, long aDepth, float* b, long bDepth, float* output, long outputRow, bool accumulate)
        where TVector : unmanaged, ISimdFloat<TVector>
    {
        TVector c0 = TVector.Zero;
        TVector c1 = TVector.Zero;
        TVector c2 = TVector.Zero;
        TVector c3 = TVector.Zero;
        for (int k = 0; k < depth; k++)
        {
            TVector b0 = TVector.Load(b);
            c0 = TVector.MultiplyAdd(TVector.Broadcast(*a0), b0, c0);
            c1 = TVector.MultiplyAdd(TVector.Broadcast(*a1), b0, c1);
            c2 = TVector.MultiplyAdd(TVector.Broadcast(*a2), b0, c2);
            c3 = TVector.MultiplyAdd(TVector.Broadcast(*a3), b0, c3);
            a0 += aDepth;
            a1 += aDepth;
            a2 += aDepth;
            a3 += aDepth;
            b += bDepth;
        }

        StoreVector(c0, output, accumulate);
        StoreVector(c1, output + outputRow, accumulate);
        StoreVector(c2, output + (2 * outputRow), accumulate);
        StoreVector(c3, output + (3 * outputRow), accumulate);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void StoreRow<TVector>(TVector c0, TVector c1, TVector c2, float* output, bool accumulate)
        where TVector : unmanaged, ISimdFloat<TVector>
    {
        StoreRow(c0, c1, output, accumulate);
        StoreVector(c2, output + (2 * TVector.Count), accumulate);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void StoreRow<TVector>(TVector c0, TVector c1, float* output, bool accumulate)
        where TVector : unmanaged, ISimdFloat<TVector>
    {
        StoreVector(c0, output, accumulate);
        StoreVector(c1, output + TVector.Count, accumulate);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void StoreVector<TVector>(TVector c, float* output, bool accumulate)
        where TVector : unmanaged, ISimdFloat<TVector> =>
        TVector.Store(accumulate ? c + TVector.Load(output) : c, output);
}
