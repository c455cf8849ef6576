using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.Arm;
using System.Runtime.Intrinsics.X86;
using CrossAlign.Kernels.Cpu.Simd;
using CrossAlign.Runtime;

namespace CrossAlign.Kernels.Cpu.Products;

/// <summary>Copies an operand into panels (see <see cref="Panels{TVector}"/>): conversion to float32, scaling, transposing.</summary>
/// <typeparam name="TVector">The vector width.</typeparam>
internal static unsafe class PanelPacking<TVector>
    where TVector : unmanaged, ISimdFloat<TVector>
{
    /// <summary>Packs lanes into panels.</summary>
    /// <param name="source">Element (lane, k) lies at <c>source[lane * stride + k]</c>, or at <c>source[k * stride + lane]</c> if <paramref name="lanesContiguous"/>.</param>
    /// <param name="dtype">Float32 or BFloat16.</param>
    /// <param name="stride">See <paramref name="source"/>.</param>
    /// <param name="lanesContiguous">See <paramref name="source"/>.</param>
    /// <param name="width">Lanes of a panel.</param>
    /// <param name="lanes">How many lanes.</param>
    /// <param name="depth">How many k.</param>
    /// <param name="scale">Multiplies every element.</param>
    /// <param name="panels">Overwritten.</param>
    public static void Pack(void* source, DType dtype, nint stride, bool lanesContiguous, int width, int lanes, int depth, float scale, float* panels)
    {
        if (dtype == DType.BFloat16)
        {
            Pack<BFloat16Element>(source, stride, lanesContiguous, width, lanes, depth, scale, panels);
        }
        else
        {
            Pack<Float32Element>(source, stride, lanesContiguous, width, lanes, depth, scale, panels);
        }
    }

    private static void Pack<TElement>(void* source, nint stride, bool lanesContiguous, int width, int lanes, int depth, float scale, float* panels)
        where TElement : unmanaged, ISimdElement
    {
        int whole = lanes - (lanes % width);
        if (lanesContiguous)
        {
            CopyLanes<TElement>(source, stride, width, whole, depth, scale, panels);
        }
        else
        {
            for (int lane = 0; lane < whole; lane += width)
            {
                TransposeLanes<TElement>((byte*)source + (lane * stride * TElement.ByteSize), stride, width, depth, scale, panels + ((nint)lane * depth));
            }
        }

        if (whole < lanes)
        {
            nint laneStride = lanesContiguous ? 1 : stride;
            nint depthStride = lanesContiguous ? stride : 1;
            PartialPanel<TElement>(source, (whole * laneStride), laneStride, depthStride, width, lanes - whole, depth, scale, panels + ((nint)whole * depth));
        }
    }

    // All panels of a row in one sweep, so that the source is read in its own order.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void CopyLanes<TElement>(void* source, nint stride, int width, int lanes, int depth, float scale, float* panels)
        where TElement : unmanaged, ISimdElement
    {
        TVector factors = TVector.Broadcast(scale);
        nint panelFloats = (nint)width * depth;
        for (int k = 0; k < depth; k++)
        {
            nint index = k * stride;
            float* destination = panels + ((nint)k * width);
            for (int lane = 0; lane < lanes; lane += width)
            {
                int i = 0;
                for (; i + TVector.Count <= width; i += TVector.Count)
                {
                    TVector.Store(TElement.Load<TVector>(source, index + i) * factors, destination + i);
                }

                if (Vector128.IsHardwareAccelerated && i + 4 <= width)
                {
                    Float128.Store(TElement.Load<Float128>(source, index + i) * Float128.Broadcast(scale), destination + i);
                    i += 4;
                }

                for (; i < width; i++)
                {
                    destination[i] = TElement.LoadScalar(source, index + i) * scale;
                }

                index += width;
                destination += panelFloats;
            }
        }
    }

    // Squares of four lanes by four k are turned in registers.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void TransposeLanes<TElement>(void* source, nint stride, int width, int depth, float scale, float* panel)
        where TElement : unmanaged, ISimdElement
    {
        int wholeDepth = Vector128.IsHardwareAccelerated ? depth - (depth % 4) : 0;
        Vector128<float> factors = Vector128.Create(scale);
        for (int lane = 0; lane < width; lane += 4)
        {
            int count = Math.Min(4, width - lane);
            nint row0 = lane * stride;
            nint row1 = row0 + (count > 1 ? stride : 0);
            nint row2 = row1 + (count > 2 ? stride : 0);
            nint row3 = row2 + (count > 3 ? stride : 0);
            float* destination = panel + lane;
            int k = 0;
            for (; k < wholeDepth; k += 4)
            {
                Vector128<float> r0 = TElement.Load<Float128>(source, row0 + k).Value * factors;
                Vector128<float> r1 = TElement.Load<Float128>(source, row1 + k).Value * factors;
                Vector128<float> r2 = TElement.Load<Float128>(source, row2 + k).Value * factors;
                Vector128<float> r3 = TElement.Load<Float128>(source, row3 + k).Value * factors;
                Vector128<float> low01 = Low(r0, r1);
                Vector128<float> low23 = Low(r2, r3);
                Vector128<float> high01 = High(r0, r1);
                Vector128<float> high23 = High(r2, r3);
                StoreLanes(Lower(low01, low23), destination, count);
                StoreLanes(Upper(low01, low23), destination + width, count);
                StoreLanes(Lower(high01, high23), destination + (2 * width), count);
                StoreLanes(Upper(high01, high23), destination + (3 * width), count);
                destination += 4 * width;
            }

            for (; k < depth; k++)
            {
                for (int i = 0; i < count; i++)
                {
                    destination[i] = TElement.LoadScalar(source, row0 + (i * stride) + k) * scale;
                }

                destination += width;
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void PartialPanel<TElement>(void* source, nint index, nint laneStride, nint depthStride, int width, int lanes, int depth, float scale, float* panel)
        where TElement : unmanaged, ISimdElement
    {
        for (int k = 0; k < depth; k++)
        {
            for (int lane = 0; lane < width; lane++)
            {
                panel[lane] = lane < lanes ? TElement.LoadScalar(source, index + (lane * laneStride)) * scale : 0;
            }

            index += depthStride;
            panel += width;
        }
    }

    // (a0 b0 a1 b1), (a2 b2 a3 b3), and the halves of two such vectors.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<float> Low(Vector128<float> a, Vector128<float> b) =>
        Sse.IsSupported ? Sse.UnpackLow(a, b)
        : AdvSimd.Arm64.IsSupported ? AdvSimd.Arm64.ZipLow(a, b)
        : Vector128.Create(a[0], b[0], a[1], b[1]);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<float> High(Vector128<float> a, Vector128<float> b) =>
        Sse.IsSupported ? Sse.UnpackHigh(a, b)
        : AdvSimd.Arm64.IsSupported ? AdvSimd.Arm64.ZipHigh(a, b)
        : Vector128.Create(a[2], b[2], a[3], b[3]);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<float> Lower(Vector128<float> a, Vector128<float> b) =>
        Vector128.Create(a.GetLower(), b.GetLower());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<float> Upper(Vector128<float> a, Vector128<float> b) =>
        Vector128.Create(a.GetUpper(), b.GetUpper());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void StoreLanes(Vector128<float> value, float* destination, int count)
    {
        if (count == 4)
        {
            value.Store(destination);
        }
        else
        {
            // Widths are even: 6, 16 and so on; two lanes remain.
            *(ulong*)destination = value.AsUInt64().ToScalar();
        }
    }
}
