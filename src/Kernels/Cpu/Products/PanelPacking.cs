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
    // So many k of eight lanes are turned before the next eight: what a panel gets stays in the first-level cache meanwhile.
    private const int TransposedDepth = 64;

    // How many k ahead a copied row is asked for.
    private const int PrefetchedRows = 4;

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
    /// <param name="panelDepth">The depth of the panels: <paramref name="depth"/>, or more where this call fills a part of each.</param>
    /// <param name="round">Whether float32 elements are rounded to bfloat16.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Pack(
        void* source, DType dtype, nint stride, bool lanesContiguous, int width, int lanes, int depth, float scale, float* panels, int panelDepth, bool round)
    {
        if (dtype == DType.BFloat16)
        {
            Pack<BFloat16Element>(source, stride, lanesContiguous, width, lanes, depth, scale, panels, (nint)width * panelDepth);
        }
        else if (round)
        {
            Pack<RoundedElement>(source, stride, lanesContiguous, width, lanes, depth, scale, panels, (nint)width * panelDepth);
        }
        else
        {
            Pack<Float32Element>(source, stride, lanesContiguous, width, lanes, depth, scale, panels, (nint)width * panelDepth);
        }
    }

    private static void Pack<TElement>(
        void* source, nint stride, bool lanesContiguous, int width, int lanes, int depth, float scale, float* panels, nint panelFloats)
        where TElement : unmanaged, ISimdElement
    {
        int whole = lanes - (lanes % width);
        if (!lanesContiguous)
        {
            for (int lane = 0; lane < whole; lane += width)
            {
                void* first = (byte*)source + (lane * stride * TElement.ByteSize);
                float* panel = panels + (lane / width * panelFloats);
                if (TVector.Count >= 8 && width % 8 == 0)
                {
                    TransposeEights<TElement>(first, stride, width, depth, scale, panel);
                }
                else
                {
                    TransposeFours<TElement>(first, stride, width, depth, scale, panel);
                }
            }
        }
        else if (width == 2 * TVector.Count)
        {
            CopyPairs<TElement>(source, stride, whole, depth, scale, panels, panelFloats);
        }
        else if (width == 6 && TVector.Count > 1)
        {
            CopySixes<TElement>(source, stride, whole, depth, scale, panels, panelFloats);
        }
        else
        {
            CopyLanes<TElement>(source, stride, width, whole, depth, scale, panels, panelFloats);
        }

        if (whole < lanes)
        {
            nint laneStride = lanesContiguous ? 1 : stride;
            nint depthStride = lanesContiguous ? stride : 1;
            PartialPanel<TElement>(source, whole * laneStride, laneStride, depthStride, width, lanes - whole, depth, scale, panels + (whole / width * panelFloats));
        }
    }

    // All panels of a row in one sweep, so that the source is read in its own order.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void CopyPairs<TElement>(void* source, nint stride, int lanes, int depth, float scale, float* panels, nint panelFloats)
        where TElement : unmanaged, ISimdElement
    {
        TVector factors = TVector.Broadcast(scale);
        for (int k = 0; k < depth; k++)
        {
            nint index = k * stride;
            nint end = index + lanes;
            float* destination = panels + ((nint)k * 2 * TVector.Count);
            while (index < end)
            {
                TVector.Store(TElement.Load<TVector>(source, index) * factors, destination);
                TVector.Store(TElement.Load<TVector>(source, index + TVector.Count) * factors, destination + TVector.Count);
                index += 2 * TVector.Count;
                destination += panelFloats;
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void CopySixes<TElement>(void* source, nint stride, int lanes, int depth, float scale, float* panels, nint panelFloats)
        where TElement : unmanaged, ISimdElement
    {
        Vector128<float> factors = Vector128.Create(scale);
        for (int k = 0; k < depth; k++)
        {
            nint index = k * stride;
            nint end = index + lanes;
            float* destination = panels + ((nint)k * 6);
            while (index < end)
            {
                // A row of k is far from the next, often on another page, where the processor does not look ahead by itself.
                if (Sse.IsSupported)
                {
                    Sse.Prefetch0((byte*)source + ((index + (PrefetchedRows * stride)) * TElement.ByteSize));
                }

                // Lanes 0 to 3 and 2 to 5: the middle two are written twice.
                (TElement.Load<Float128>(source, index).Value * factors).Store(destination);
                (TElement.Load<Float128>(source, index + 2).Value * factors).Store(destination + 2);
                index += 6;
                destination += panelFloats;
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void CopyLanes<TElement>(void* source, nint stride, int width, int lanes, int depth, float scale, float* panels, nint panelFloats)
        where TElement : unmanaged, ISimdElement
    {
        for (int k = 0; k < depth; k++)
        {
            float* destination = panels + ((nint)k * width);
            for (int lane = 0; lane < lanes; lane += width)
            {
                int i = 0;
                for (; TVector.Count >= 8 && i + 8 <= width; i += 8)
                {
                    Float256.Store(TElement.Load<Float256>(source, (k * stride) + lane + i) * Float256.Broadcast(scale), destination + i);
                }

                for (; i < width; i++)
                {
                    destination[i] = TElement.LoadScalar(source, (k * stride) + lane + i) * scale;
                }

                destination += panelFloats;
            }
        }
    }

    // Squares of four by four are turned in each half of a vector: rows 0 to 3 in the lower, rows 4 to 7 in the upper half, so that
    // nothing crosses the halves.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void TransposeEights<TElement>(void* source, nint stride, int width, int depth, float scale, float* panel)
        where TElement : unmanaged, ISimdElement
    {
        Vector256<float> factors = Vector256.Create(scale);
        int wholeDepth = depth - (depth % 4);
        for (int start = 0; start < depth; start += TransposedDepth)
        {
            int end = Math.Min(start + TransposedDepth, wholeDepth);
            for (int lane = 0; lane < width; lane += 8)
            {
                nint row = lane * stride;
                float* destination = panel + ((nint)start * width) + lane;
                for (int k = start; k < end; k += 4)
                {
                    nint index = row + k;
                    Vector256<float> r0 = Rows<TElement>(source, index, 4 * stride) * factors;
                    Vector256<float> r1 = Rows<TElement>(source, index + stride, 4 * stride) * factors;
                    Vector256<float> r2 = Rows<TElement>(source, index + (2 * stride), 4 * stride) * factors;
                    Vector256<float> r3 = Rows<TElement>(source, index + (3 * stride), 4 * stride) * factors;
                    Vector256<double> low01 = Avx.UnpackLow(r0, r1).AsDouble();
                    Vector256<double> low23 = Avx.UnpackLow(r2, r3).AsDouble();
                    Vector256<double> high01 = Avx.UnpackHigh(r0, r1).AsDouble();
                    Vector256<double> high23 = Avx.UnpackHigh(r2, r3).AsDouble();
                    Avx.UnpackLow(low01, low23).AsSingle().Store(destination);
                    Avx.UnpackHigh(low01, low23).AsSingle().Store(destination + width);
                    Avx.UnpackLow(high01, high23).AsSingle().Store(destination + (2 * width));
                    Avx.UnpackHigh(high01, high23).AsSingle().Store(destination + (3 * width));
                    destination += 4 * width;
                }
            }
        }

        Remainder<TElement>(source, stride, width, width, wholeDepth, depth, scale, panel);
    }

    // The same with vectors of four: rows in fours, and two that remain of six.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void TransposeFours<TElement>(void* source, nint stride, int width, int depth, float scale, float* panel)
        where TElement : unmanaged, ISimdElement
    {
        int wholeDepth = Vector128.IsHardwareAccelerated ? depth - (depth % 4) : 0;
        Vector128<float> factors = Vector128.Create(scale);
        for (int lane = 0; lane < width; lane += 4)
        {
            bool four = width - lane >= 4;
            nint row = lane * stride;
            float* destination = panel + lane;
            for (int k = 0; k < wholeDepth; k += 4)
            {
                nint index = row + k;
                Vector128<float> r0 = TElement.Load<Float128>(source, index).Value * factors;
                Vector128<float> r1 = TElement.Load<Float128>(source, index + stride).Value * factors;
                Vector128<double> low01 = Low(r0, r1);
                Vector128<double> high01 = High(r0, r1);
                if (four)
                {
                    Vector128<float> r2 = TElement.Load<Float128>(source, index + (2 * stride)).Value * factors;
                    Vector128<float> r3 = TElement.Load<Float128>(source, index + (3 * stride)).Value * factors;
                    Vector128<double> low23 = Low(r2, r3);
                    Vector128<double> high23 = High(r2, r3);
                    Vector128.Create(low01.GetLower(), low23.GetLower()).AsSingle().Store(destination);
                    Vector128.Create(low01.GetUpper(), low23.GetUpper()).AsSingle().Store(destination + width);
                    Vector128.Create(high01.GetLower(), high23.GetLower()).AsSingle().Store(destination + (2 * width));
                    Vector128.Create(high01.GetUpper(), high23.GetUpper()).AsSingle().Store(destination + (3 * width));
                }
                else
                {
                    *(double*)destination = low01[0];
                    *(double*)(destination + width) = low01[1];
                    *(double*)(destination + (2 * width)) = high01[0];
                    *(double*)(destination + (3 * width)) = high01[1];
                }

                destination += 4 * width;
            }
        }

        Remainder<TElement>(source, stride, width, width, wholeDepth, depth, scale, panel);
    }

    private static void Remainder<TElement>(void* source, nint stride, int width, int lanes, int start, int depth, float scale, float* panel)
        where TElement : unmanaged, ISimdElement
    {
        for (int k = start; k < depth; k++)
        {
            for (int lane = 0; lane < lanes; lane++)
            {
                panel[((nint)k * width) + lane] = TElement.LoadScalar(source, (lane * stride) + k) * scale;
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

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<float> Rows<TElement>(void* source, nint index, nint upper)
        where TElement : unmanaged, ISimdElement =>
        Vector256.Create(TElement.Load<Float128>(source, index).Value, TElement.Load<Float128>(source, index + upper).Value);

    // (a0 b0 a1 b1) and (a2 b2 a3 b3).
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<double> Low(Vector128<float> a, Vector128<float> b) =>
        (Sse.IsSupported ? Sse.UnpackLow(a, b)
        : AdvSimd.Arm64.IsSupported ? AdvSimd.Arm64.ZipLow(a, b)
        : Vector128.Create(a[0], b[0], a[1], b[1])).AsDouble();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<double> High(Vector128<float> a, Vector128<float> b) =>
        (Sse.IsSupported ? Sse.UnpackHigh(a, b)
        : AdvSimd.Arm64.IsSupported ? AdvSimd.Arm64.ZipHigh(a, b)
        : Vector128.Create(a[2], b[2], a[3], b[3])).AsDouble();
}
