using System.Runtime.CompilerServices;
using CrossAlign.Kernels.Cpu.Simd;
using CrossAlign.Runtime;

namespace CrossAlign.Kernels.Cpu.Products;

/// <summary>
/// A matrix product cut into blocks of the output. The right operand is packed by all threads together, then blocks of rows are
/// handed out; each packs its part of the left operand (or reads it in place) and sweeps the packed columns.
/// </summary>
/// <remarks>The depth is cut by its own length alone, so a row has the same bits whatever other rows there are.</remarks>
internal static unsafe class BlockedProduct
{
    // The sizes below: measured on a Zen 3 with 512 KiB of second-level cache a core.
    // A packed right operand of this size stays in the last-level cache while the blocks of rows sweep it.
    private const long MaxRightFloats = 2 << 20;

    // Below about a million multiply-adds a task costs more to hand out than it brings.
    private const long MinTaskOperations = 1 << 19;
    private const int WantedTasks = 32;

    // Rows of a block of a large product. With 132 of 2064 a gradient product of the loss took some 7 % longer: two threads waited for each other's last block.
    private const int FairBlockRows = 48;

    // A group of panels: a quarter of a second-level cache of 512 KiB, the rest is for the rows.
    private const int GroupFloats = 1 << 15;

    // Floats that a task packs.
    private const int PackFloats = 1 << 14;
    private const int MaxBlockRows = 144;
    private const int MinColumns = 512;

    /// <summary>Bytes of scratch that a product needs.</summary>
    public static long ScratchByteCount(CpuDevice device, in Product product)
    {
        State state = Plan(product);
        return (state.RightFloats * sizeof(float)) + ScratchSlots.ByteCount(state.SlotFloats, SlotCount(device, state));
    }

    /// <summary>Computes a product.</summary>
    public static void Run(CpuDevice device, in Product product, void* scratch)
    {
        State state = Plan(product);
        state.RightPanels = (float*)scratch;
        state.Slots = new ScratchSlots(state.RightPanels + state.RightFloats, state.SlotFloats, SlotCount(device, state));
        delegate*<int, void*, void> pack = SimdKernel.For<PackKernel>(DType.Float32);
        delegate*<int, void*, void> pair = SimdKernel.For<PairKernel>(DType.Float32);
        delegate*<int, void*, void> multiply = SimdKernel.For<MultiplyKernel>(DType.Float32);
        for (int column = 0; column < product.Columns; column += state.ChunkColumns)
        {
            state.FirstColumn = column;
            state.Columns = Math.Min(state.ChunkColumns, product.Columns - column);
            int packTasks = product.RightTransposed ? Panels.Blocks(product.Depth, state.PackDepth) : Panels.Blocks(state.Columns, state.PackColumns);
            device.Workers.Run(packTasks, pack, &state);
            if (state.Pairs)
            {
                device.Workers.Run(state.DepthBlocks * Panels.Blocks(state.Columns, state.PairColumns), pair, &state);
            }

            device.Workers.Run(state.RowBlocks * Panels.Blocks(state.Columns, state.TaskColumns), multiply, &state);
        }
    }

    private static int SlotCount(CpuDevice device, in State state) =>
        ScratchSlots.CountWithin(state.Product.SlotByteLimit, state.SlotFloats, device.Workers.ThreadCount);

    private static State Plan(in Product product)
    {
        State state = new() { Product = product, Pairs = product.Round && BFloat16Products.Mode != BFloat16Mode.None };
        SimdKernel.For<PlanKernel>(DType.Float32)(0, &state);
        return state;
    }

    private struct State
    {
        public Product Product;
        public ScratchSlots Slots;
        public float* RightPanels;
        public long RightFloats;
        public nint SlotFloats;
        public int ChunkColumns;
        public int PackColumns;
        public int PackDepth;
        public int TaskColumns;
        public int BlockRows;
        public int RowBlocks;
        public int DepthBlocks;
        public bool PackLeft;

        // Whether the panels hold pairs of bfloat16; how many columns a task pairs up.
        public bool Pairs;
        public int PairColumns;

        // An odd multiple of 16, so that the panels do not compete for the same places in the first-level cache while they are filled.
        public int LeftPanelDepth;
        public int FirstColumn;
        public int Columns;
    }

    /// <summary>Chooses the blocks, by shapes and the vector width alone.</summary>
    private readonly struct PlanKernel : ISimdKernel
    {
        public static void Run<TVector, TElement>(int task, void* state)
            where TVector : unmanaged, ISimdFloat<TVector>
            where TElement : unmanaged, ISimdElement
        {
            State* s = (State*)state;
            int rows = Math.Max(1, s->Product.Rows);
            int columns = Math.Max(1, s->Product.Columns);
            int depth = Math.Max(1, s->Product.Depth);
            int width = Panels<TVector>.RightWidth;
            int height = Panels<TVector>.LeftWidth;
            s->DepthBlocks = Panels.Blocks(depth, Panels<TVector>.DepthBlock);

            // Columns that are packed at a time.
            int maxColumns = s->Product.OutputType == DType.Float32 ? int.MaxValue / 2 : 512;
            int maxPanels = (int)Math.Clamp(MaxRightFloats / ((long)depth * width), 1, maxColumns / width);
            s->ChunkColumns = Math.Min(maxPanels, Panels.Blocks(columns, width)) * width;
            s->RightFloats = ((long)s->ChunkColumns * depth + 15) / 16 * 16;
            s->PackColumns = width * Panels.Blocks(PackFloats, (long)depth * width);
            s->PackDepth = Panels.Blocks(PackFloats, s->ChunkColumns);
            s->PairColumns = width * Panels.Blocks(PackFloats, (long)Panels.Blocks(depth, s->DepthBlocks) * width);

            // Rows of a task: fewer where the packed columns stay in the second-level cache anyway, else as many as a sweep of them
            // from further away is worth, and not many more, so that no thread waits long for the last task of another; then fewer columns
            // where that leaves few tasks.
            long rightFloats = (long)s->ChunkColumns * depth;
            long fair = rightFloats <= GroupFloats ? Panels.Blocks(rows, WantedTasks) : Math.Min(Panels.Blocks(rows, WantedTasks / 2), FairBlockRows);
            long worth = Panels.Blocks(MinTaskOperations, rightFloats);
            long blockRows = Math.Min(Math.Max(fair, worth), MaxBlockRows);
            s->BlockRows = height * Panels.Blocks(Math.Min(blockRows, rows), height);
            s->RowBlocks = Panels.Blocks(rows, s->BlockRows);
            int wanted = Panels.Blocks(WantedTasks, s->RowBlocks);
            long minColumns = s->RowBlocks >= WantedTasks / 2 ? MinColumns : Panels.Blocks(MinTaskOperations, (long)s->BlockRows * depth);
            long taskColumns = Math.Max(Panels.Blocks(s->ChunkColumns, wanted), minColumns);
            s->TaskColumns = Math.Min(s->ChunkColumns, width * Panels.Blocks(taskColumns, width));

            s->PackLeft = s->Product.LeftTransposed || s->Product.LeftType != DType.Float32 || s->Product.Round || s->Product.LeftRowFactors != null;
            s->LeftPanelDepth = (Panels.Blocks(Panels.Blocks(depth, s->DepthBlocks), 32) * 32) + 16;
            long leftFloats = s->PackLeft ? Panels<TVector>.LeftFloats(s->BlockRows, s->LeftPanelDepth) : 0;
            long tileFloats = s->Product.OutputType == DType.Float32 ? 0 : (long)s->BlockRows * s->TaskColumns;
            s->SlotFloats = (nint)((leftFloats + 15) / 16 * 16 + tileFloats);
        }
    }

    private readonly struct PackKernel : ISimdKernel
    {
        public static void Run<TVector, TElement>(int task, void* state)
            where TVector : unmanaged, ISimdFloat<TVector>
            where TElement : unmanaged, ISimdElement
        {
            State* s = (State*)state;
            ref Product p = ref s->Product;
            if (p.RightTransposed)
            {
                // Rows of k as they lie, all panels at once.
                int start = task * s->PackDepth;
                int depth = Math.Min(s->PackDepth, p.Depth - start);
                float* panels = s->RightPanels + ((nint)start * Panels<TVector>.RightWidth);
                Panels<TVector>.PackRightPart(
                    (byte*)p.Right + (((start * p.RightStride) + s->FirstColumn) * p.RightType.ByteSize()),
                    p.RightType,
                    p.RightStride,
                    true,
                    s->Columns,
                    depth,
                    1,
                    panels,
                    p.Depth,
                    p.Round);
                if (p.RightDepthFactors != null)
                {
                    PanelFactors.MultiplyDepth(panels, Panels<TVector>.RightWidth, s->Columns, depth, p.Depth, p.RightDepthFactors + start);
                }
            }
            else
            {
                int first = task * s->PackColumns;
                int columns = Math.Min(s->PackColumns, s->Columns - first);
                float* panels = s->RightPanels + ((nint)first * p.Depth);
                Panels<TVector>.PackRightPart(
                    (byte*)p.Right + ((s->FirstColumn + first) * p.RightStride * p.RightType.ByteSize()),
                    p.RightType,
                    p.RightStride,
                    false,
                    columns,
                    p.Depth,
                    1,
                    panels,
                    p.Depth,
                    p.Round);
                if (p.RightColumnFactors != null)
                {
                    PanelFactors.MultiplyLanes(panels, Panels<TVector>.RightWidth, columns, p.Depth, p.Depth, p.RightColumnFactors + s->FirstColumn + first);
                }
            }
        }
    }

    private readonly struct PairKernel : ISimdKernel
    {
        public static void Run<TVector, TElement>(int task, void* state)
            where TVector : unmanaged, ISimdFloat<TVector>
            where TElement : unmanaged, ISimdElement
        {
            State* s = (State*)state;
            int depth = s->Product.Depth;
            int block = task % s->DepthBlocks;
            int first = task / s->DepthBlocks * s->PairColumns;
            int last = Math.Min(first + s->PairColumns, s->Columns);
            int start = (int)((long)depth * block / s->DepthBlocks);
            int end = (int)((long)depth * (block + 1) / s->DepthBlocks);
            for (int column = first; column < last; column += Panels<TVector>.RightWidth)
            {
                PairPanels<TVector>.Pair(s->RightPanels + ((nint)column * depth) + ((nint)start * Panels<TVector>.RightWidth), Panels<TVector>.RightWidth, end - start);
            }
        }
    }

    private readonly struct MultiplyKernel : ISimdKernel
    {
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public static void Run<TVector, TElement>(int task, void* state)
            where TVector : unmanaged, ISimdFloat<TVector>
            where TElement : unmanaged, ISimdElement
        {
            State* s = (State*)state;
            ref Product p = ref s->Product;
            int columnTask = task / s->RowBlocks;
            int firstRow = (task - (columnTask * s->RowBlocks)) * s->BlockRows;
            int rows = Math.Min(s->BlockRows, p.Rows - firstRow);
            int firstColumn = columnTask * s->TaskColumns;
            int columns = Math.Min(s->TaskColumns, s->Columns - firstColumn);
            nint outputIndex = (firstRow * p.OutputStride) + s->FirstColumn + firstColumn;
            bool direct = p.OutputType == DType.Float32;
            bool accumulate = p.Accumulate;

            float* slotMemory = null;
            int slot = 0;
            if (s->SlotFloats > 0)
            {
                slotMemory = s->Slots.Take(out slot);
            }

            float* c = (float*)p.Output + outputIndex;
            nint columnCount = p.OutputStride;
            if (!direct)
            {
                c = slotMemory + s->SlotFloats - ((nint)s->BlockRows * s->TaskColumns);
                columnCount = s->TaskColumns;
                if (accumulate)
                {
                    Convert<TVector, BFloat16Element, Float32Element>(p.Output, outputIndex, p.OutputStride, c, 0, columnCount, rows, columns);
                }
            }

            float* bias = p.Bias == null ? null : p.Bias + s->FirstColumn + firstColumn;
            for (int block = 0; block < s->DepthBlocks; block++)
            {
                int start = (int)((long)p.Depth * block / s->DepthBlocks);
                int depth = (int)((long)p.Depth * (block + 1) / s->DepthBlocks) - start;
                float* left = (float*)p.Left + (firstRow * p.LeftStride) + start;
                nint leftRowStride = p.LeftStride;
                nint leftDepthStride = 1;
                nint leftPanelStride = p.LeftStride;
                if (s->PackLeft)
                {
                    nint index = p.LeftTransposed ? (start * p.LeftStride) + firstRow : (firstRow * p.LeftStride) + start;
                    left = slotMemory;
                    Panels<TVector>.PackLeftPart(
                        (byte*)p.Left + (index * p.LeftType.ByteSize()), p.LeftType, p.LeftStride, p.LeftTransposed, rows, depth, 1, left, s->LeftPanelDepth, p.Round);
                    if (p.LeftRowFactors != null)
                    {
                        PanelFactors.MultiplyLanes(left, Panels<TVector>.LeftWidth, rows, depth, s->LeftPanelDepth, p.LeftRowFactors + firstRow);
                    }

                    leftRowStride = 1;
                    leftDepthStride = Panels<TVector>.LeftWidth;
                    leftPanelStride = s->LeftPanelDepth;
                    for (int row = 0; s->Pairs && row < rows; row += Panels<TVector>.LeftWidth)
                    {
                        PairPanels<TVector>.Pair(left + (row * leftPanelStride), Panels<TVector>.LeftWidth, depth);
                    }
                }

                // A group of panels of the right operand stays in the second-level cache, a panel of the left one in the first.
                int group = Panels<TVector>.RightWidth * Math.Max(1, GroupFloats / (Panels<TVector>.RightWidth * Math.Max(1, depth)));
                for (int groupStart = 0; groupStart < columns; groupStart += group)
                {
                    int groupEnd = Math.Min(columns, groupStart + group);
                    for (int row = 0; row < rows; row += Panels<TVector>.LeftWidth)
                    {
                        int tileRows = Math.Min(Panels<TVector>.LeftWidth, rows - row);
                        for (int column = groupStart; column < groupEnd; column += Panels<TVector>.RightWidth)
                        {
                            float* leftPanel = left + (row * leftPanelStride);
                            float* rightPanel = s->RightPanels + ((nint)(firstColumn + column) * p.Depth) + ((nint)start * Panels<TVector>.RightWidth);
                            float* tile = c + (row * columnCount) + column;
                            float* tileBias = bias == null ? null : bias + column;
                            int tileColumns = Math.Min(Panels<TVector>.RightWidth, columns - column);
                            if (s->Pairs)
                            {
                                PairPanels<TVector>.MultiplyTile(leftPanel, rightPanel, depth, tile, columnCount, tileRows, tileColumns, p.Alpha, accumulate, tileBias);
                            }
                            else
                            {
                                MicroKernel<TVector>.Run(
                                    leftPanel, leftRowStride, leftDepthStride, rightPanel, depth, tile, columnCount, tileRows, tileColumns, p.Alpha, accumulate, tileBias);
                            }
                        }
                    }
                }

                // The later blocks of the depth add to the first.
                accumulate = true;
                bias = null;
            }

            if (!direct)
            {
                Convert<TVector, Float32Element, BFloat16Element>(c, 0, columnCount, p.Output, outputIndex, p.OutputStride, rows, columns);
            }

            if (s->SlotFloats > 0)
            {
                s->Slots.GiveBack(slot);
            }
        }

        private static void Convert<TVector, TFrom, TTo>(
            void* source, nint sourceIndex, nint sourceStride, void* destination, nint destinationIndex, nint destinationStride, int rows, int columns)
            where TVector : unmanaged, ISimdFloat<TVector>
            where TFrom : unmanaged, ISimdElement
            where TTo : unmanaged, ISimdElement
        {
            int whole = columns - (columns % TVector.Count);
            for (int row = 0; row < rows; row++)
            {
                for (int i = 0; i < whole; i += TVector.Count)
                {
                    TTo.Store(TFrom.Load<TVector>(source, sourceIndex + i), destination, destinationIndex + i);
                }

                for (int i = whole; i < columns; i++)
                {
                    TTo.StoreScalar(TFrom.LoadScalar(source, sourceIndex + i), destination, destinationIndex + i);
                }

                sourceIndex += sourceStride;
                destinationIndex += destinationStride;
            }
        }
    }
}
