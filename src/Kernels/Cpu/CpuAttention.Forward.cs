using System.Runtime.CompilerServices;
using CrossAlign.Kernels.Cpu.Simd;

namespace CrossAlign.Kernels.Cpu;

/// <content>The forward pass of one head of one sequence.</content>
internal static unsafe partial class CpuAttention
{
    private readonly struct ForwardKernel : ISimdKernel
    {
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public static void Run<TVector, TElement>(int task, void* state)
            where TVector : unmanaged, ISimdFloat<TVector>
            where TElement : unmanaged, ISimdElement
        {
            State* s = (State*)state;
            float* workspace = s->Slots.Take(out int slot);
            for (int unit = s->Units.Start(task); unit < s->Units.Start(task + 1); unit++)
            {
                int sequence = unit / s->Heads;
                int start = s->CuSeqlens[sequence];
                int length = s->CuSeqlens[sequence + 1] - start;
                if (length > 0)
                {
                    ForwardUnit<TVector, TElement>(s, start, length, unit % s->Heads, workspace);
                }
            }

            s->Slots.GiveBack(slot);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void ForwardUnit<TVector, TElement>(State* s, int start, int length, int head, float* slot)
        where TVector : unmanaged, ISimdFloat<TVector>
        where TElement : unmanaged, ISimdElement
    {
        int size = s->C / s->Heads;
        int padded = (size + TVector.Count - 1) / TVector.Count * TVector.Count;
        int maxBlock = BlockQueries<TVector>();
        long stride = 3L * s->C;
        long queriesAt = (start * stride) + ((long)head * size);

        Workspace workspace = new(slot);
        float* queries = workspace.Take((long)size * maxBlock);
        float* logits = workspace.Take((length + 3L) * maxBlock);
        float* tile = workspace.Take((long)maxBlock * padded);
        float* lse = workspace.Take(maxBlock);
        float* inverses = workspace.Take(maxBlock);
        float* factors = s->Mask.IsActive ? workspace.Take((length + 3L) * maxBlock) : null;
        long keyStride = stride;
        float* keys = Rows<TVector, TElement>(s->Qkv, queriesAt + s->C, ref keyStride, length, size, workspace.Take((long)length * padded));
        long valueStride = stride;
        float* values = Rows<TVector, TElement>(s->Qkv, queriesAt + (2L * s->C), ref valueStride, length, size, workspace.Take((long)length * padded));

        for (int first = 0; first < length; first += maxBlock)
        {
            int count = Math.Min(maxBlock, length - first);
            int columns = Columns<TVector>(count);
            int visible = s->Causal ? first + count : length;
            Transpose<TElement>(s->Qkv, queriesAt + (first * stride), stride, count, size, queries, columns);
            StridedProduct.Multiply<TVector>(visible, size, keys, keyStride, 1, queries, columns, columns, logits, columns, false);
            if (s->Causal)
            {
                HideLaterKeys(logits + ((long)first * columns), count, columns);
            }

            Softmax<TVector>(logits, visible, columns, s->Scale, lse, inverses);
            if (factors != null)
            {
                s->Mask.Probabilities(start + first, count, start, visible, head, factors, columns);
                Multiply<TVector>(logits, factors, (long)visible * columns);
            }

            StridedProduct.Multiply<TVector>(count, visible, logits, 1, columns, values, valueStride, padded, tile, padded, false);
            for (int i = 0; i < count; i++)
            {
                long row = start + first + i;
                StoreRow<TVector, TElement>(tile + ((long)i * padded), inverses[i], size, s->Output, (row * s->C) + ((long)head * size));
                s->Lse[(row * s->Heads) + head] = lse[i];
            }
        }
    }

    /// <summary>The columns of a block of queries: whole vectors, and at least the four rows that a product tile reads.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static int Columns<TVector>(int count)
        where TVector : unmanaged, ISimdFloat<TVector>
    {
        int granule = Math.Max(TVector.Count, 4);
        return (count + granule - 1) / granule * granule;
    }

    /// <summary>In the square of keys and queries of one block, key j stays visible to queries i &gt;= j.</summary>
    private static void HideLaterKeys(float* square, int count, int columns)
    {
        for (int j = 1; j < count; j++)
        {
            new Span<float>(square + ((long)j * columns), j).Fill(float.NegativeInfinity);
        }
    }

    /// <summary>
    /// Down each column: <c>logits = e^(scale (logits - maximum))</c>; of their sum, which is at least 1, the inverse, and the log-sum-exp of
    /// the scaled logits. A NaN among the logits makes the column NaN.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Softmax<TVector>(float* logits, int keys, int columns, float scale, float* lse, float* inverses)
        where TVector : unmanaged, ISimdFloat<TVector>
    {
        // Sums of up to 32 terms are carried on, so that the error does not grow with the length of the sequence.
        const int Chunk = 32;
        TVector scales = TVector.Broadcast(scale);
        for (int column = 0; column < columns; column += TVector.Count)
        {
            TVector maximum = TVector.Broadcast(float.NegativeInfinity);
            float* at = logits + column;
            for (int j = 0; j < keys; j++)
            {
                TVector x = TVector.Load(at);
                maximum = TVector.SelectLess(maximum, x, x, maximum);
                at += columns;
            }

            TVector shift = TVector.Zero - (maximum * scales);
            TVector sum = TVector.Zero;
            at = logits + column;
            for (int chunk = 0; chunk < keys; chunk += Chunk)
            {
                TVector part = TVector.Zero;
                for (int j = chunk; j < Math.Min(chunk + Chunk, keys); j++)
                {
                    TVector p = SimdMath.ExpNonPositive(TVector.MultiplyAdd(TVector.Load(at), scales, shift));
                    TVector.Store(p, at);
                    part += p;
                    at += columns;
                }

                sum += part;
            }

            TVector.Store(SimdMath.Log(sum) - shift, lse + column);
            TVector.Store(TVector.Broadcast(1) / sum, inverses + column);
        }
    }

    /// <summary>Multiplies element by element: whole vectors, since rows have whole vectors of columns.</summary>
    private static void Multiply<TVector>(float* values, float* factors, long count)
        where TVector : unmanaged, ISimdFloat<TVector>
    {
        for (long i = 0; i < count; i += TVector.Count)
        {
            TVector.Store(TVector.Load(values + i) * TVector.Load(factors + i), values + i);
        }
    }
}
