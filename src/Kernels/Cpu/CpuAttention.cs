using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.Arm;
using System.Runtime.Intrinsics.X86;
using CrossAlign.Kernels.Cpu.Products;
using CrossAlign.Kernels.Cpu.Simd;
using CrossAlign.Runtime;

namespace CrossAlign.Kernels.Cpu;

/// <summary>
/// Packed attention on the CPU. The unit of work is one head of one sequence: it depends on nothing else, so its bits cannot depend
/// on the batch, and its gradients need no merging. Queries are taken in blocks of three vectors; logits stand transposed, one row
/// a key with the queries along the lanes, so that the softmax runs down the rows and nothing is summed across lanes however short
/// the sequence is.
/// </summary>
internal static unsafe partial class CpuAttention
{
    // Enough tasks to share many short sequences evenly; few enough that taking one costs nothing beside running it.
    private const int MaxTasks = 256;

    public static void Forward(
        in Tensor qkv, in Tensor cuSeqlens, in Tensor output, in Tensor lse, int heads, bool causal, in DropoutSite dropout)
    {
        State state = new()
        {
            Output = (void*)output.Address,
            Lse = lse.Pointer<float>(),
        };
        Run<ForwardKernel>(qkv, cuSeqlens, heads, causal, dropout, ref state, backward: false);
    }

    public static void Backward(
        in Tensor dOutput, in Tensor qkv, in Tensor cuSeqlens, in Tensor lse, in Tensor dQkv, int heads, bool causal, in DropoutSite dropout)
    {
        State state = new()
        {
            DOutput = (void*)dOutput.Address,
            Lse = lse.Pointer<float>(),
            Output = (void*)dQkv.Address,
        };
        Run<BackwardKernel>(qkv, cuSeqlens, heads, causal, dropout, ref state, backward: true);
    }

    private static void Run<TKernel>(
        in Tensor qkv, in Tensor cuSeqlens, int heads, bool causal, in DropoutSite dropout, ref State state, bool backward)
        where TKernel : ISimdKernel
    {
        Check.SequencesEndAt(cuSeqlens, qkv.Shape[0]);
        int sequences = cuSeqlens.Shape[0] - 1;
        int c = qkv.Shape[1] / 3;
        if (c == 0 || sequences == 0)
        {
            return;
        }

        CpuDevice device = (CpuDevice)qkv.Device;
        state.CuSeqlens = cuSeqlens.Pointer<int>();
        int longest = 0;
        for (int s = 0; s < sequences; s++)
        {
            longest = Math.Max(longest, state.CuSeqlens[s + 1] - state.CuSeqlens[s]);
        }

        state.Units = new RowPartition(checked(sequences * heads), 1, MaxTasks);
        state.Heads = heads;
        state.C = c;
        state.Causal = causal;
        state.Scale = (float)(1 / Math.Sqrt(c / heads));
        state.Mask = new DropoutMask(dropout);
        state.Qkv = (void*)qkv.Address;

        nint floats = checked((nint)Workspace.Floats(longest, c / heads, backward));
        int slots = device.Workers.ThreadCount;
        state.Slots = new ScratchSlots(device.Scratch(ScratchSlots.ByteCount(floats, slots)), floats, slots);
        fixed (State* s = &state)
        {
            device.Workers.Run(state.Units.Count, SimdKernel.For<TKernel>(qkv.DType), s);
        }
    }

    /// <summary>The queries of a block: three vectors are what the registers of a product tile hold.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static int BlockQueries<TVector>()
        where TVector : unmanaged, ISimdFloat<TVector> => Math.Max(3 * TVector.Count, 12);

    /// <summary>
    /// Turns rows of a head into columns: <c>destination[d * columns + r] = source(r, d)</c>. The columns behind the rows, up to a
    /// multiple of four in all, repeat the last row: what is computed of them is finite where the row is, and not used.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Transpose<TElement>(void* source, long at, long stride, int rows, int size, float* destination, int columns)
        where TElement : unmanaged, ISimdElement
    {
        int whole = Vector128.IsHardwareAccelerated ? size - (size % 4) : 0;
        for (int r = 0; r < columns; r += 4)
        {
            long row0 = at + (Math.Min(r, rows - 1) * stride);
            long row1 = at + (Math.Min(r + 1, rows - 1) * stride);
            long row2 = at + (Math.Min(r + 2, rows - 1) * stride);
            long row3 = at + (Math.Min(r + 3, rows - 1) * stride);
            float* to = destination + r;
            int d = 0;
            for (; d < whole; d += 4)
            {
                // Squares of four by four are turned in registers.
                Vector128<float> r0 = TElement.Load<Float128>(source, row0 + d).Value;
                Vector128<float> r1 = TElement.Load<Float128>(source, row1 + d).Value;
                Vector128<float> r2 = TElement.Load<Float128>(source, row2 + d).Value;
                Vector128<float> r3 = TElement.Load<Float128>(source, row3 + d).Value;
                Vector128<float> low01 = Low(r0, r1);
                Vector128<float> low23 = Low(r2, r3);
                Vector128<float> high01 = High(r0, r1);
                Vector128<float> high23 = High(r2, r3);
                Vector128.Create(low01.GetLower(), low23.GetLower()).Store(to);
                Vector128.Create(low01.GetUpper(), low23.GetUpper()).Store(to + columns);
                Vector128.Create(high01.GetLower(), high23.GetLower()).Store(to + (2 * columns));
                Vector128.Create(high01.GetUpper(), high23.GetUpper()).Store(to + (3 * columns));
                to += 4 * columns;
            }

            for (; d < size; d++)
            {
                to[0] = TElement.LoadScalar(source, row0 + d);
                to[1] = TElement.LoadScalar(source, row1 + d);
                to[2] = TElement.LoadScalar(source, row2 + d);
                to[3] = TElement.LoadScalar(source, row3 + d);
                to += columns;
            }
        }
    }

    // (a0 b0 a1 b1) and (a2 b2 a3 b3).
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

    /// <summary>
    /// Rows of a head as float32 with whole vectors: where they lie if they are so already, else copied with zeros behind.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static float* Rows<TVector, TElement>(void* source, long at, ref long stride, int rows, int size, float* copy)
        where TVector : unmanaged, ISimdFloat<TVector>
        where TElement : unmanaged, ISimdElement
    {
        int whole = size - (size % TVector.Count);
        if (TElement.DType == DType.Float32 && whole == size)
        {
            return (float*)source + at;
        }

        int padded = whole == size ? size : whole + TVector.Count;
        for (int r = 0; r < rows; r++)
        {
            float* row = copy + ((long)r * padded);
            long from = at + (r * stride);
            for (int d = 0; d < whole; d += TVector.Count)
            {
                TVector.Store(TElement.Load<TVector>(source, from + d), row + d);
            }

            if (whole < size)
            {
                TVector.Store(TElement.LoadPartial<TVector>(source, from + whole, size - whole), row + whole);
            }
        }

        stride = padded;
        return copy;
    }

    /// <summary>Writes a row of a head from float32, multiplied by a factor.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void StoreRow<TVector, TElement>(float* row, float factor, int size, void* destination, long at)
        where TVector : unmanaged, ISimdFloat<TVector>
        where TElement : unmanaged, ISimdElement
    {
        TVector factors = TVector.Broadcast(factor);
        int whole = size - (size % TVector.Count);
        for (int d = 0; d < whole; d += TVector.Count)
        {
            TElement.Store(TVector.Load(row + d) * factors, destination, at + d);
        }

        if (whole < size)
        {
            TElement.StorePartial(TVector.Load(row + whole) * factors, destination, at + whole, size - whole);
        }
    }

    private struct State
    {
        public RowPartition Units;
        public int Heads;
        public int C;
        public bool Causal;
        public float Scale;
        public DropoutMask Mask;
        public int* CuSeqlens;
        public void* Qkv;
        public void* DOutput;
        public void* Output;
        public float* Lse;
        public ScratchSlots Slots;
    }

    /// <summary>How a unit cuts up its workspace. Sizes are bounds for every vector width.</summary>
    private ref struct Workspace(float* next)
    {
        private const int MaxLanes = 16;
        private const int MaxBlock = 3 * MaxLanes;

        private float* _next = next;

        public static long Floats(int longest, int size, bool backward)
        {
            long keys = longest + 3;
            long padded = size + MaxLanes - 1;
            long block = (long)size * MaxBlock;
            long logits = keys * MaxBlock;
            long rows = keys * padded;
            long tile = MaxBlock * padded;
            long lanes = 4 * MaxBlock;
            long pieces = backward
                ? (2 * block) + (3 * logits) + tile + (6 * rows) + lanes
                : block + (2 * logits) + tile + (2 * rows) + lanes;
            return pieces + (16 * MaxLanes);
        }

        /// <summary>The next piece, aligned to 64 bytes.</summary>
        public float* Take(long floats)
        {
            float* piece = _next;
            _next += (floats + MaxLanes - 1) / MaxLanes * MaxLanes;
            return piece;
        }
    }
}
