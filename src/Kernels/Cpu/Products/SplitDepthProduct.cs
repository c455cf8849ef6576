using System.Runtime.CompilerServices;
using CrossAlign.Kernels.Cpu.Simd;
using CrossAlign.Runtime;

namespace CrossAlign.Kernels.Cpu.Products;

/// <summary>
/// A matrix product with a small output and a great depth: the gradient of a weight over all tokens of a batch. The depth is cut into
/// a fixed number of pieces; each task packs its pieces of both operands and forms a partial output, and the partial outputs are
/// added in the pieces' order.
/// </summary>
internal static unsafe class SplitDepthProduct
{
    // Measured with 96 to 288 rows and 96 to 192 columns over 3000 tokens: more pieces cost more in the merge than balance brings.
    private const int Pieces = 8;
    private const int MinPieceDepth = 96;
    private const int MaxOutputFloats = 1 << 16;

    // Of both operands: a block of them, however thin one is, stays a megabyte.
    private const int MaxLanes = 1 << 12;
    private const int MergeFloats = 4096;

    /// <summary>Whether this is the better way; the shape alone decides.</summary>
    public static bool Suits(in Product product) =>
        product.LeftTransposed && product.RightTransposed && product.OutputType == DType.Float32
        && (long)product.Rows * product.Columns <= MaxOutputFloats
        && product.Rows + product.Columns <= MaxLanes
        && product.Depth >= Pieces * MinPieceDepth
        && product.Bias == null;

    /// <summary>Bytes of scratch that a product needs.</summary>
    public static long ScratchByteCount(CpuDevice device, in Product product)
    {
        State state = Plan(device, product);
        return (Pieces * (long)state.PartialFloats * sizeof(float)) + ScratchSlots.ByteCount(state.SlotFloats, SlotCount(device));
    }

    /// <summary>Computes a product.</summary>
    public static void Run(CpuDevice device, in Product product, void* scratch)
    {
        State state = Plan(device, product);
        state.Partials = (float*)scratch;
        state.Slots = new ScratchSlots(state.Partials + (Pieces * state.PartialFloats), state.SlotFloats, SlotCount(device));
        device.Workers.Run(Pieces, SimdKernel.For<MultiplyKernel>(DType.Float32), &state);
        device.Workers.Run(Panels.Blocks(product.Rows, state.MergeRows), SimdKernel.For<MergeKernel>(DType.Float32), &state);
    }

    private static int SlotCount(CpuDevice device) => Math.Min(device.Workers.ThreadCount, Pieces);

    private static State Plan(CpuDevice device, in Product product)
    {
        State state = new() { Product = product, Pairs = product.Round && BFloat16Products.Mode != BFloat16Mode.None };
        SimdKernel.For<PlanKernel>(DType.Float32)(0, &state);
        state.PartialFloats = (nint)(((long)product.Rows * product.Columns + 15) / 16 * 16);
        state.MergeRows = Math.Max(1, MergeFloats / product.Columns);
        return state;
    }

    private struct State
    {
        public Product Product;
        public ScratchSlots Slots;
        public float* Partials;
        public nint PartialFloats;
        public nint LeftFloats;
        public nint SlotFloats;
        public int BlockDepth;
        public int MergeRows;

        // Whether the panels hold pairs of bfloat16.
        public bool Pairs;
    }

    private readonly struct PlanKernel : ISimdKernel
    {
        // Half of a second-level cache of 512 KiB for both packed operands.
        private const int PackedFloats = 64 * 1024;

        public static void Run<TVector, TElement>(int task, void* state)
            where TVector : unmanaged, ISimdFloat<TVector>
            where TElement : unmanaged, ISimdElement
        {
            State* s = (State*)state;
            int pieceDepth = Panels.Blocks(s->Product.Depth, Pieces);
            int lanes = s->Product.Rows + s->Product.Columns;
            int blocks = Math.Max(Panels.Blocks(pieceDepth, Panels<TVector>.DepthBlock), Panels.Blocks(pieceDepth, Math.Max(64, PackedFloats / lanes)));

            // Odd, so that the panels do not compete for the same places in the first-level cache while they are filled.
            s->BlockDepth = Panels.Blocks(pieceDepth, blocks) | 1;
            s->LeftFloats = (nint)((Panels<TVector>.LeftFloats(s->Product.Rows, s->BlockDepth) + 15) / 16 * 16);
            s->SlotFloats = s->LeftFloats + (nint)Panels<TVector>.RightFloats(s->Product.Columns, s->BlockDepth);
        }
    }

    private readonly struct MultiplyKernel : ISimdKernel
    {
        public static void Run<TVector, TElement>(int task, void* state)
            where TVector : unmanaged, ISimdFloat<TVector>
            where TElement : unmanaged, ISimdElement
        {
            State* s = (State*)state;
            ref Product p = ref s->Product;
            float* left = s->Slots.Take(out int slot);
            float* right = left + s->LeftFloats;
            float* partial = s->Partials + (task * s->PartialFloats);
            int first = (int)((long)p.Depth * task / Pieces);
            int last = (int)((long)p.Depth * (task + 1) / Pieces);
            for (int k = first; k < last; k += s->BlockDepth)
            {
                int depth = Math.Min(s->BlockDepth, last - k);
                Panels<TVector>.PackLeftPart(
                    (byte*)p.Left + (k * p.LeftStride * p.LeftType.ByteSize()), p.LeftType, p.LeftStride, true, p.Rows, depth, 1, left, depth, p.Round);
                Panels<TVector>.PackRightPart(
                    (byte*)p.Right + (k * p.RightStride * p.RightType.ByteSize()), p.RightType, p.RightStride, true, p.Columns, depth, 1, right, depth, p.Round);
                if (p.RightDepthFactors != null)
                {
                    PanelFactors.MultiplyDepth(right, Panels<TVector>.RightWidth, p.Columns, depth, depth, p.RightDepthFactors + k);
                }

                if (s->Pairs)
                {
                    PairAll<TVector>(left, Panels<TVector>.LeftWidth, p.Rows, depth);
                    PairAll<TVector>(right, Panels<TVector>.RightWidth, p.Columns, depth);
                    PairPanels<TVector>.Multiply(left, right, p.Rows, p.Columns, depth, partial, p.Columns, accumulate: k > first);
                }
                else
                {
                    Panels<TVector>.Multiply(left, right, p.Rows, p.Columns, depth, partial, p.Columns, accumulate: k > first);
                }
            }

            s->Slots.GiveBack(slot);
        }

        private static void PairAll<TVector>(float* panels, int width, int lanes, int depth)
            where TVector : unmanaged, ISimdFloat<TVector>
        {
            for (int lane = 0; lane < lanes; lane += width)
            {
                PairPanels<TVector>.Pair(panels + ((nint)lane * depth), width, depth);
            }
        }
    }

    private readonly struct MergeKernel : ISimdKernel
    {
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public static void Run<TVector, TElement>(int task, void* state)
            where TVector : unmanaged, ISimdFloat<TVector>
            where TElement : unmanaged, ISimdElement
        {
            State* s = (State*)state;
            ref Product p = ref s->Product;
            int row = task * s->MergeRows;
            int rows = Math.Min(s->MergeRows, p.Rows - row);
            int columns = p.Columns;
            int whole = columns - (columns % TVector.Count);
            TVector alpha = TVector.Broadcast(p.Alpha);
            for (; rows > 0; rows--, row++)
            {
                float* partial = s->Partials + ((nint)row * columns);
                float* output = (float*)p.Output + (row * p.OutputStride);
                for (int i = 0; i < whole; i += TVector.Count)
                {
                    TVector sum = TVector.Load(partial + i);
                    for (int piece = 1; piece < Pieces; piece++)
                    {
                        sum += TVector.Load(partial + (piece * s->PartialFloats) + i);
                    }

                    sum *= alpha;
                    TVector.Store(p.Accumulate ? sum + TVector.Load(output + i) : sum, output + i);
                }

                for (int i = whole; i < columns; i++)
                {
                    float sum = partial[i];
                    for (int piece = 1; piece < Pieces; piece++)
                    {
                        sum += partial[(piece * s->PartialFloats) + i];
                    }

                    sum *= p.Alpha;
                    output[i] = p.Accumulate ? sum + output[i] : sum;
                }
            }
        }
    }
}
