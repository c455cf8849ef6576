using System.Runtime.CompilerServices;
using CrossAlign.Kernels.Cpu.Products;
using CrossAlign.Kernels.Cpu.Simd;
using CrossAlign.Runtime;

namespace CrossAlign.Kernels.Cpu;

/// <summary>
/// Retrieval on the CPU: the scores of a block of queries against the whole pool are one packed matrix product, of which each query's
/// row is then read once.
/// </summary>
internal static unsafe class CpuRetrievalRanks
{
    /// <summary>Bytes of scores at a time, and at least 16 queries: fewer would pack the pool for too little work.</summary>
    private const long TileByteCount = 16 << 20;

    private const int MinTileRows = 16;

    // A count kept in float lanes is exact up to 2^24.
    private const int CountChunk = 1 << 20;

    public static void Run(in Tensor queries, in Tensor pool, in Tensor targets, in Tensor ranks)
    {
        RowScatter.CheckRange(targets, pool.Shape[0], nameof(targets));
        State state = new() { Targets = targets.Pointer<int>(), Ranks = ranks.Pointer<int>() };
        ForEachTile<RankKernel>(queries, pool, ref state);
    }

    public static void TopK(in Tensor queries, in Tensor pool, in Tensor indices, in Tensor scores)
    {
        State state = new()
        {
            Best = indices.Shape[1],
            Indices = indices.Pointer<int>(),
            BestScores = scores.IsPresent ? scores.Pointer<float>() : null,
        };
        ForEachTile<TopKernel>(queries, pool, ref state);
    }

    private static void ForEachTile<TKernel>(in Tensor queries, in Tensor pool, ref State state)
        where TKernel : ISimdKernel
    {
        CpuDevice device = (CpuDevice)queries.Device;
        int rows = queries.Shape[0];
        int columns = pool.Shape[0];
        int depth = queries.Shape[1];
        if (rows == 0 || columns == 0)
        {
            return;
        }

        int tileRows = (int)Math.Clamp(TileByteCount / (columns * (long)sizeof(float)), MinTileRows, 1024);
        tileRows = Math.Min(tileRows, rows);
        Product product = new()
        {
            Left = (void*)queries.Address,
            LeftType = queries.DType,
            LeftStride = depth,
            Right = (void*)pool.Address,
            RightType = pool.DType,
            RightStride = depth,
            OutputType = DType.Float32,
            OutputStride = columns,
            Rows = tileRows,
            Columns = columns,
            Depth = depth,
            Alpha = 1,
        };
        long tile = ((tileRows * (long)columns * sizeof(float)) + 63) / 64 * 64;
        long lists = ((tileRows * (long)state.Best * sizeof(float)) + 63) / 64 * 64;

        // The last block is smaller, and a smaller product may be computed in another way, which needs other scratch.
        Product rest = product;
        rest.Rows = Math.Max(1, rows % tileRows);
        long products = Math.Max(MatrixProduct.ScratchByteCount(device, product), MatrixProduct.ScratchByteCount(device, rest));
        byte* scratch = (byte*)device.Scratch(tile + lists + products);
        product.Output = scratch;
        state.Scores = (float*)scratch;
        state.Lists = (float*)(scratch + tile);
        state.Columns = columns;
        for (int first = 0; first < rows; first += tileRows)
        {
            int count = Math.Min(tileRows, rows - first);
            product.Left = (byte*)queries.Address + ((long)first * depth * queries.DType.ByteSize());
            product.Rows = count;
            MatrixProduct.Run(device, product, scratch + tile + lists);
            state.First = first;
            state.Partition = new RowPartition(count, Math.Max(1, 8192 / columns), 64);
            fixed (State* s = &state)
            {
                device.Workers.Run(s->Partition.Count, SimdKernel.For<TKernel>(DType.Float32), s);
            }
        }
    }

    private struct State
    {
        public RowPartition Partition;
        public int First;
        public int Columns;
        public float* Scores;
        public int* Targets;
        public int* Ranks;
        public int Best;
        public int* Indices;
        public float* BestScores;
        public float* Lists;
    }

    private readonly struct RankKernel : ISimdKernel
    {
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public static void Run<TVector, TElement>(int task, void* state)
            where TVector : unmanaged, ISimdFloat<TVector>
            where TElement : unmanaged, ISimdElement
        {
            State* s = (State*)state;
            TVector one = TVector.Broadcast(1);
            for (int row = s->Partition.Start(task); row < s->Partition.Start(task + 1); row++)
            {
                float* scores = s->Scores + ((long)row * s->Columns);
                float target = scores[s->Targets[s->First + row]];
                TVector targets = TVector.Broadcast(target);
                double notBelow = 0;
                int j = 0;
                while (j <= s->Columns - TVector.Count)
                {
                    TVector count = TVector.Zero;
                    int end = (int)Math.Min(j + (long)CountChunk, s->Columns);
                    for (; j <= end - TVector.Count; j += TVector.Count)
                    {
                        count += TVector.SelectLess(TVector.Load(scores + j), targets, TVector.Zero, one);
                    }

                    notBelow += TVector.Sum(count);
                }

                for (; j < s->Columns; j++)
                {
                    notBelow += scores[j] < target ? 0 : 1;
                }

                // The target itself is not below itself: it is the 1 of the rank.
                s->Ranks[s->First + row] = (int)notBelow;
            }
        }
    }

    private readonly struct TopKernel : ISimdKernel
    {
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public static void Run<TVector, TElement>(int task, void* state)
            where TVector : unmanaged, ISimdFloat<TVector>
            where TElement : unmanaged, ISimdElement
        {
            State* s = (State*)state;
            int best = s->Best;
            for (int row = s->Partition.Start(task); row < s->Partition.Start(task + 1); row++)
            {
                float* scores = s->Scores + ((long)row * s->Columns);
                float* keys = s->Lists + ((long)row * best);
                int* indices = s->Indices + ((long)(s->First + row) * best);
                int held = 0;
                for (int j = 0; j < s->Columns && best > 0; j++)
                {
                    float key = float.IsNaN(scores[j]) ? float.NegativeInfinity : scores[j];
                    if (held == best && !(key > keys[best - 1]))
                    {
                        continue;
                    }

                    // Behind all that are not lower: of equal scores the earlier row stays first.
                    int at = held < best ? held++ : best - 1;
                    for (; at > 0 && keys[at - 1] < key; at--)
                    {
                        keys[at] = keys[at - 1];
                        indices[at] = indices[at - 1];
                    }

                    keys[at] = key;
                    indices[at] = j;
                }

                if (s->BestScores != null)
                {
                    for (int i = 0; i < best; i++)
                    {
                        s->BestScores[((long)(s->First + row) * best) + i] = scores[indices[i]];
                    }
                }
            }
        }
    }
}
