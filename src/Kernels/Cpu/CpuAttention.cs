using System.Runtime.CompilerServices;
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

    /// <summary>Turns rows of a head into columns: <c>destination[d * columns + r] = source(r, d)</c>, zero for r beyond the rows.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Transpose<TElement>(void* source, long at, long stride, int rows, int size, float* destination, int columns)
        where TElement : unmanaged, ISimdElement
    {
        if (rows < columns)
        {
            new Span<float>(destination, size * columns).Clear();
        }

        for (int r = 0; r < rows; r++)
        {
            float* column = destination + r;
            for (int d = 0; d < size; d++)
            {
                *column = TElement.LoadScalar(source, at + d);
                column += columns;
            }

            at += stride;
        }
    }

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
