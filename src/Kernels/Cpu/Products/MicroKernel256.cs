using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace CrossAlign.Kernels.Cpu.Products;

/// <summary>
/// The 6 x 16 tile of <see cref="MicroKernel{TVector}"/> for AVX2 with FMA, on bare vectors: through the wrapper the compiler copies
/// every other sum once a step, which costs a tenth of the speed.
/// </summary>
internal static unsafe class MicroKernel256
{
    /// <summary>See <see cref="MicroKernel{TVector}.Run"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Whole(
        float* left, nint leftRowStride, nint leftDepthStride, float* right, int depth, float* c, nint columnCount, int rows, float alpha, bool accumulate, float* bias)
    {
        float* a0 = left;
        float* a1 = rows > 1 ? a0 + leftRowStride : a0;
        float* a2 = rows > 2 ? a1 + leftRowStride : a1;
        float* a3 = rows > 3 ? a2 + leftRowStride : a2;
        float* a4 = rows > 4 ? a3 + leftRowStride : a3;
        float* a5 = rows > 5 ? a4 + leftRowStride : a4;
        if (rows == 6)
        {
            // The tile's rows lie far apart; asked for now, they are there when the sums are done.
            float* line = c;
            Sse.Prefetch0(line + 15);
            Sse.Prefetch0(line += columnCount);
            Sse.Prefetch0(line + 15);
            Sse.Prefetch0(line += columnCount);
            Sse.Prefetch0(line + 15);
            Sse.Prefetch0(line += columnCount);
            Sse.Prefetch0(line + 15);
            Sse.Prefetch0(line += columnCount);
            Sse.Prefetch0(line + 15);
            Sse.Prefetch0(line += columnCount);
            Sse.Prefetch0(line + 15);
        }

        Vector256<float> c00 = Vector256<float>.Zero, c01 = Vector256<float>.Zero, c10 = Vector256<float>.Zero, c11 = Vector256<float>.Zero;
        Vector256<float> c20 = Vector256<float>.Zero, c21 = Vector256<float>.Zero, c30 = Vector256<float>.Zero, c31 = Vector256<float>.Zero;
        Vector256<float> c40 = Vector256<float>.Zero, c41 = Vector256<float>.Zero, c50 = Vector256<float>.Zero, c51 = Vector256<float>.Zero;
        nint k = 0;
        float* end = right + (16 * (nint)depth);
        while (right != end)
        {
            Vector256<float> b0 = Avx.LoadVector256(right);
            Vector256<float> b1 = Avx.LoadVector256(right + 8);
            Vector256<float> a = Avx.BroadcastScalarToVector256(a0 + k);
            c00 = Fma.MultiplyAdd(a, b0, c00);
            c01 = Fma.MultiplyAdd(a, b1, c01);
            a = Avx.BroadcastScalarToVector256(a1 + k);
            c10 = Fma.MultiplyAdd(a, b0, c10);
            c11 = Fma.MultiplyAdd(a, b1, c11);
            a = Avx.BroadcastScalarToVector256(a2 + k);
            c20 = Fma.MultiplyAdd(a, b0, c20);
            c21 = Fma.MultiplyAdd(a, b1, c21);
            a = Avx.BroadcastScalarToVector256(a3 + k);
            c30 = Fma.MultiplyAdd(a, b0, c30);
            c31 = Fma.MultiplyAdd(a, b1, c31);
            a = Avx.BroadcastScalarToVector256(a4 + k);
            c40 = Fma.MultiplyAdd(a, b0, c40);
            c41 = Fma.MultiplyAdd(a, b1, c41);
            a = Avx.BroadcastScalarToVector256(a5 + k);
            c50 = Fma.MultiplyAdd(a, b0, c50);
            c51 = Fma.MultiplyAdd(a, b1, c51);
            right += 16;
            k += leftDepthStride;
        }

        Vector256<float> factor = Vector256.Create(alpha);
        Store(c00, c01, factor, c, accumulate, bias);
        Store(c10, c11, factor, c += columnCount, accumulate, bias);
        Store(c20, c21, factor, c += columnCount, accumulate, bias);
        Store(c30, c31, factor, c += columnCount, accumulate, bias);
        Store(c40, c41, factor, c += columnCount, accumulate, bias);
        Store(c50, c51, factor, c + columnCount, accumulate, bias);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Store(Vector256<float> left, Vector256<float> right, Vector256<float> factor, float* c, bool accumulate, float* bias)
    {
        left *= factor;
        right *= factor;
        if (accumulate)
        {
            left += Avx.LoadVector256(c);
            right += Avx.LoadVector256(c + 8);
        }

        if (bias != null)
        {
            left += Avx.LoadVector256(bias);
            right += Avx.LoadVector256(bias + 8);
        }

        left.Store(c);
        right.Store(c + 8);
    }
}
