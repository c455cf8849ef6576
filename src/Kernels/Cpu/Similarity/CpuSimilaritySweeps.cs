using System.Runtime.CompilerServices;
using CrossAlign.Kernels.Cpu.Simd;

namespace CrossAlign.Kernels.Cpu.Similarity;

/// <summary>
/// The epilogue of a super-tile: short sweeps over a part of one row of it, which lies in the first-level cache. A variant of the loss is
/// a sweep or a line of one. Whatever decides what takes part is computed the same way, to the bit, in both passes.
/// So a maximum is never below a participant, and no exponential has a positive argument.
/// </summary>
/// <typeparam name="TVector">The vector width; <see cref="FloatScalar"/> for the columns that fill no vector.</typeparam>
internal static unsafe class CpuSimilaritySweeps<TVector>
    where TVector : unmanaged, ISimdFloat<TVector>
{
    /// <summary>Dot products become logits.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Logits(in CpuSimilarityState s, float* row, float factor, int start, int end)
    {
        TVector factors = TVector.Broadcast(factor);
        TVector biases = TVector.Broadcast(s.Bias);
        if (s.Columns.Rstd == null)
        {
            for (int j = start; j < end; j += TVector.Count)
            {
                TVector.Store((TVector.Load(row + j) * factors) + biases, row + j);
            }

            return;
        }

        float* rstd = s.Columns.Rstd + s.FirstColumn;
        for (int j = start; j < end; j += TVector.Count)
        {
            TVector.Store((TVector.Load(row + j) * factors * TVector.Load(rstd + j)) + biases, row + j);
        }
    }

    /// <summary>Members of the row's group leave.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void MaskGroup(float* row, float group, float* columnGroups, int start, int end)
    {
        TVector groups = TVector.Broadcast(group);
        TVector half = TVector.Broadcast(0.5f);
        TVector masked = TVector.Broadcast(float.NegativeInfinity);
        for (int j = start; j < end; j += TVector.Count)
        {
            TVector distance = TVector.Abs(TVector.Load(columnGroups + j) - groups);
            TVector.Store(TVector.SelectLess(distance, half, masked, TVector.Load(row + j)), row + j);
        }
    }

    /// <summary>The sum over the members of the row's group.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static double SumGroup(float* row, float group, float* columnGroups, int start, int end)
    {
        TVector groups = TVector.Broadcast(group);
        TVector half = TVector.Broadcast(0.5f);
        TVector sum = TVector.Zero;
        for (int j = start; j < end; j += TVector.Count)
        {
            TVector distance = TVector.Abs(TVector.Load(columnGroups + j) - groups);
            sum += TVector.SelectLess(distance, half, TVector.Load(row + j), TVector.Zero);
        }

        return TVector.Sum(sum);
    }

    /// <summary>The largest participant of the row; <paramref name="sign"/> as <see cref="CpuSimilarityState.ThresholdSign"/>, here and below.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Max(float* row, float threshold, float sign, int start, int end)
    {
        TVector thresholds = TVector.Broadcast(threshold);
        TVector signs = TVector.Broadcast(sign);
        TVector max = TVector.Broadcast(float.MinValue);
        TVector masked = max;
        for (int j = start; j < end; j += TVector.Count)
        {
            TVector x = TVector.Load(row + j);
            x = TVector.SelectLess(thresholds, x * signs, masked, x);
            max = TVector.SelectLess(max, x, x, max);
        }

        return TVector.MaxLane(max);
    }

    /// <summary>The sum of exp(x - max) over the participants of the row; <paramref name="hasThreshold"/> is a constant of the caller's.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static double SumExp(float* row, bool hasThreshold, float threshold, float sign, float max, int start, int end)
    {
        TVector thresholds = TVector.Broadcast(threshold);
        TVector signs = TVector.Broadcast(sign);
        TVector maxima = TVector.Broadcast(max);
        TVector masked = TVector.Broadcast(float.NegativeInfinity);
        TVector sum = TVector.Zero;
        for (int j = start; j < end; j += TVector.Count)
        {
            TVector x = TVector.Load(row + j);
            x = hasThreshold ? TVector.SelectLess(thresholds, x * signs, masked, x) : x;
            sum += SimdMath.ExpNonPositive(x - maxima);
        }

        return TVector.Sum(sum);
    }

    /// <summary>The largest logit of a row of dot products of normalised rows, which stay what they are.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float MaxOfDots(float* row, float factor, float* columnRstd, int start, int end)
    {
        TVector factors = TVector.Broadcast(factor);
        TVector max = TVector.Broadcast(float.MinValue);
        for (int j = start; j < end; j += TVector.Count)
        {
            TVector x = TVector.Load(row + j) * factors * TVector.Load(columnRstd + j);
            max = TVector.SelectLess(max, x, x, max);
        }

        return TVector.MaxLane(max);
    }

    /// <summary>The sum of exp(x - max) over the row, which times <paramref name="ofColumns"/> is also added to each column's sum.
    /// With <paramref name="columnRstd"/> (null or not is a constant of the caller's) the row holds dot products, as in <see cref="MaxOfDots"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static double SumExpBoth(float* row, float max, float ofColumns, float* columnSums, float factor, float* columnRstd, int start, int end)
    {
        TVector logitFactors = TVector.Broadcast(factor);
        TVector maxima = TVector.Broadcast(max);
        TVector factors = TVector.Broadcast(ofColumns);
        TVector sum = TVector.Zero;
        for (int j = start; j < end; j += TVector.Count)
        {
            TVector x = TVector.Load(row + j);
            x = columnRstd != null ? x * logitFactors * TVector.Load(columnRstd + j) : x;
            TVector e = SimdMath.ExpNonPositive(x - maxima);
            sum += e;
            TVector.Store(TVector.MultiplyAdd(e, factors, TVector.Load(columnSums + j)), columnSums + j);
        }

        return TVector.Sum(sum);
    }

    /// <summary>The largest of the values, at least the smallest float.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Max(float* values, int start, int end)
    {
        TVector max = TVector.Broadcast(float.MinValue);
        for (int j = start; j < end; j += TVector.Count)
        {
            TVector x = TVector.Load(values + j);
            max = TVector.SelectLess(max, x, x, max);
        }

        return TVector.MaxLane(max);
    }

    /// <summary>The smallest of the values.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Min(float* values, int start, int end)
    {
        TVector min = TVector.Broadcast(float.MaxValue);
        for (int j = start; j < end; j += TVector.Count)
        {
            TVector x = TVector.Load(values + j);
            min = TVector.SelectLess(x, min, x, min);
        }

        return -TVector.MaxLane(TVector.Zero - min);
    }

    /// <summary>The participants of the row: the sum of their logits, and their number.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void SumParticipants(float* row, float threshold, float sign, int start, int end, ref double sum, ref double count)
    {
        TVector thresholds = TVector.Broadcast(threshold);
        TVector signs = TVector.Broadcast(sign);
        TVector lowest = TVector.Broadcast(float.NegativeInfinity);
        TVector one = TVector.Broadcast(1);
        TVector sums = TVector.Zero;
        TVector counts = TVector.Zero;
        for (int j = start; j < end; j += TVector.Count)
        {
            TVector x = TVector.Load(row + j);
            x = TVector.SelectLess(thresholds, x * signs, lowest, x);
            sums += TVector.SelectLess(lowest, x, x, TVector.Zero);
            counts += TVector.SelectLess(lowest, x, one, TVector.Zero);
        }

        sum += TVector.Sum(sums);
        count += TVector.Sum(counts);
    }

    /// <summary>Down a strip of the super-tile: each column's maximum and sum of exp(x - max) over the strip's participants; <paramref name="hasThreshold"/> is a constant of the caller's.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void ColumnPairs(in CpuSimilarityState s, bool hasThreshold, float* strip, int rows, float* max, float* sum, int start, int end)
    {
        nint stride = s.TileColumns;
        float* thresholds = s.Columns.Threshold + s.FirstColumn;
        TVector lowest = TVector.Broadcast(float.MinValue);
        TVector masked = TVector.Broadcast(float.NegativeInfinity);
        TVector sign = TVector.Broadcast(s.ThresholdSign);
        for (int j = start; j < end; j += TVector.Count)
        {
            TVector threshold = hasThreshold ? TVector.Load(thresholds + j) : lowest;
            TVector maxima = lowest;
            float* at = strip + j;
            for (int i = 0; i < rows; i++, at += stride)
            {
                TVector x = TVector.Load(at);
                x = hasThreshold ? TVector.SelectLess(threshold, x * sign, lowest, x) : x;
                maxima = TVector.SelectLess(maxima, x, x, maxima);
            }

            TVector sums = TVector.Zero;
            at = strip + j;
            for (int i = 0; i < rows; i++, at += stride)
            {
                TVector x = TVector.Load(at);
                x = hasThreshold ? TVector.SelectLess(threshold, x * sign, masked, x) : x;
                sums += SimdMath.ExpNonPositive(x - maxima);
            }

            TVector.Store(maxima, max + j);
            TVector.Store(sums, sum + j);
        }
    }

    /// <summary>Down a strip: each column's sum over the rows of its group.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void ColumnGroupSums(in CpuSimilarityState s, float* strip, float* rowGroups, int rows, float* sum, int start, int end)
    {
        float* columnGroups = s.Columns.Group + s.FirstColumn;
        TVector half = TVector.Broadcast(0.5f);
        for (int j = start; j < end; j += TVector.Count)
        {
            TVector groups = TVector.Load(columnGroups + j);
            TVector sums = TVector.Zero;
            float* at = strip + j;
            for (int i = 0; i < rows; i++, at += s.TileColumns)
            {
                TVector distance = TVector.Abs(groups - TVector.Broadcast(rowGroups[i]));
                sums += TVector.SelectLess(distance, half, TVector.Load(at), TVector.Zero);
            }

            TVector.Store(sums, sum + j);
        }
    }

    /// <summary>Down a strip: each column's participants, the sum of their logits and their number.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void ColumnParticipants(in CpuSimilarityState s, float* strip, int rows, float* sum, float* count, int start, int end)
    {
        float* thresholds = s.Columns.Threshold == null ? s.Unbounded : s.Columns.Threshold + s.FirstColumn;
        TVector lowest = TVector.Broadcast(float.NegativeInfinity);
        TVector one = TVector.Broadcast(1);
        TVector sign = TVector.Broadcast(s.ThresholdSign);
        for (int j = start; j < end; j += TVector.Count)
        {
            TVector threshold = TVector.Load(thresholds + j);
            TVector sums = TVector.Zero;
            TVector counts = TVector.Zero;
            float* at = strip + j;
            for (int i = 0; i < rows; i++, at += s.TileColumns)
            {
                TVector x = TVector.Load(at);
                x = TVector.SelectLess(threshold, x * sign, lowest, x);
                sums += TVector.SelectLess(lowest, x, x, TVector.Zero);
                counts += TVector.SelectLess(lowest, x, one, TVector.Zero);
            }

            TVector.Store(sums, sum + j);
            TVector.Store(counts, count + j);
        }
    }

    /// <summary>Merges a strip's (maximum, sum) pairs into the columns' running pairs.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void MergePairs(float* max, float* sum, float* moreMax, float* moreSum, int start, int end)
    {
        for (int j = start; j < end; j += TVector.Count)
        {
            TVector a = TVector.Load(max + j);
            TVector b = TVector.Load(moreMax + j);
            TVector m = TVector.SelectLess(a, b, b, a);
            TVector total = TVector.Load(sum + j) * SimdMath.ExpNonPositive(a - m);
            total = TVector.MultiplyAdd(TVector.Load(moreSum + j), SimdMath.ExpNonPositive(b - m), total);
            TVector.Store(m, max + j);
            TVector.Store(total, sum + j);
        }
    }

    /// <summary><c>total += more</c>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Add(float* total, float* more, int start, int end)
    {
        for (int j = start; j < end; j += TVector.Count)
        {
            TVector.Store(TVector.Load(total + j) + TVector.Load(more + j), total + j);
        }
    }
}
