using System.Runtime.CompilerServices;
using CrossAlign.Kernels.Cpu.Simd;

namespace CrossAlign.Kernels.Cpu;

/// <content>
/// The backward pass of one head of one sequence. With P the probabilities, M the dropout factors and dP = M (v dO):
/// dS = P (dP - sum over keys of P dP), dQ = scale dS K, dK = scale dS^T Q, dV = (P M)^T dO.
/// </content>
internal static unsafe partial class CpuAttention
{
    private readonly struct BackwardKernel : ISimdKernel
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
                    BackwardUnit<TVector, TElement>(s, start, length, unit % s->Heads, workspace);
                }
            }

            s->Slots.GiveBack(slot);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void BackwardUnit<TVector, TElement>(State* s, int start, int length, int head, float* slot)
        where TVector : unmanaged, ISimdFloat<TVector>
        where TElement : unmanaged, ISimdElement
    {
        int size = s->C / s->Heads;
        int padded = (size + TVector.Count - 1) / TVector.Count * TVector.Count;
        int maxBlock = BlockQueries<TVector>();
        long stride = 3L * s->C;
        long queriesAt = (start * stride) + ((long)head * size);
        long outputAt = ((long)start * s->C) + ((long)head * size);
        long logitCount = (length + 3L) * maxBlock;
        long rowCount = (length + 3L) * padded;

        Workspace workspace = new(slot);
        float* columnsOfQ = workspace.Take((long)size * maxBlock);
        float* columnsOfDOutput = workspace.Take((long)size * maxBlock);
        float* probabilities = workspace.Take(logitCount);
        float* gradients = workspace.Take(logitCount);
        float* factors = s->Mask.IsActive ? workspace.Take(logitCount) : null;
        float* tile = workspace.Take((long)maxBlock * padded);
        float* lse = workspace.Take(maxBlock);
        float* dKeys = workspace.Take(rowCount);
        float* dValues = workspace.Take(rowCount);
        long queryStride = stride;
        long keyStride = stride;
        long valueStride = stride;
        long dOutputStride = s->C;
        float* queries = Rows<TVector, TElement>(s->Qkv, queriesAt, ref queryStride, length, size, workspace.Take(rowCount));
        float* keys = Rows<TVector, TElement>(s->Qkv, queriesAt + s->C, ref keyStride, length, size, workspace.Take(rowCount));
        float* values = Rows<TVector, TElement>(s->Qkv, queriesAt + (2L * s->C), ref valueStride, length, size, workspace.Take(rowCount));
        float* dOutput = Rows<TVector, TElement>(s->DOutput, outputAt, ref dOutputStride, length, size, workspace.Take(rowCount));

        bool several = length > maxBlock;
        if (several)
        {
            new Span<float>(dKeys, checked((int)rowCount)).Clear();
            new Span<float>(dValues, checked((int)rowCount)).Clear();
        }

        for (int first = 0; first < length; first += maxBlock)
        {
            int count = Math.Min(maxBlock, length - first);
            int columns = Columns<TVector>(count);
            int visible = s->Causal ? first + count : length;
            Transpose<TElement>(s->Qkv, queriesAt + (first * stride), stride, count, size, columnsOfQ, columns);
            Transpose<TElement>(s->DOutput, outputAt + ((long)first * s->C), s->C, count, size, columnsOfDOutput, columns);
            StridedProduct.Multiply<TVector>(visible, size, keys, keyStride, 1, columnsOfQ, columns, columns, probabilities, columns, false);
            StridedProduct.Multiply<TVector>(visible, size, values, valueStride, 1, columnsOfDOutput, columns, columns, gradients, columns, false);
            if (s->Causal)
            {
                HideLaterKeys(probabilities + ((long)first * columns), count, columns);
            }

            for (int i = 0; i < columns; i++)
            {
                lse[i] = i < count ? s->Lse[((long)(start + first + i) * s->Heads) + head] : 0;
            }

            float* dropped = probabilities;
            if (factors != null)
            {
                s->Mask.Probabilities(start + first, count, start, visible, head, factors, columns);
                Multiply<TVector>(gradients, factors, (long)visible * columns);
                dropped = factors;
            }

            SoftmaxGradient<TVector>(probabilities, gradients, visible, columns, s->Scale, lse);
            if (factors != null)
            {
                Multiply<TVector>(factors, probabilities, (long)visible * columns);
            }

            StridedProduct.Multiply<TVector>(count, visible, gradients, 1, columns, keys, keyStride, padded, tile, padded, false);
            for (int i = 0; i < count; i++)
            {
                StoreRow<TVector, TElement>(tile + ((long)i * padded), s->Scale, size, s->Output, queriesAt + ((first + i) * stride));
            }

            StridedProduct.Multiply<TVector>(
                visible, count, gradients, columns, 1, queries + (first * queryStride), queryStride, padded, dKeys, padded, several);
            StridedProduct.Multiply<TVector>(
                visible, count, dropped, columns, 1, dOutput + (first * dOutputStride), dOutputStride, padded, dValues, padded, several);
        }

        for (int j = 0; j < length; j++)
        {
            long at = queriesAt + (j * stride);
            StoreRow<TVector, TElement>(dKeys + ((long)j * padded), s->Scale, size, s->Output, at + s->C);
            StoreRow<TVector, TElement>(dValues + ((long)j * padded), 1, size, s->Output, at + (2L * s->C));
        }
    }

    /// <summary>
    /// Down each column: logits become probabilities <c>p = e^(scale logit - lse)</c>, and gradients of probabilities those of
    /// logits, <c>p (g - sum p g)</c>.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void SoftmaxGradient<TVector>(float* logits, float* gradients, int keys, int columns, float scale, float* lse)
        where TVector : unmanaged, ISimdFloat<TVector>
    {
        const int Chunk = 32;
        TVector scales = TVector.Broadcast(scale);
        for (int column = 0; column < columns; column += TVector.Count)
        {
            TVector shift = TVector.Zero - TVector.Load(lse + column);
            TVector sum = TVector.Zero;
            long at = column;
            for (int chunk = 0; chunk < keys; chunk += Chunk)
            {
                TVector part = TVector.Zero;
                for (int j = chunk; j < Math.Min(chunk + Chunk, keys); j++)
                {
                    TVector p = SimdMath.Exp(TVector.MultiplyAdd(TVector.Load(logits + at), scales, shift));
                    TVector.Store(p, logits + at);
                    part = TVector.MultiplyAdd(p, TVector.Load(gradients + at), part);
                    at += columns;
                }

                sum += part;
            }

            at = column;
            for (int j = 0; j < keys; j++)
            {
                TVector.Store(TVector.Load(logits + at) * (TVector.Load(gradients + at) - sum), gradients + at);
                at += columns;
            }
        }
    }
}
