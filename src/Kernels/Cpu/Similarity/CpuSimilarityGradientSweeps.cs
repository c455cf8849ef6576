using System.Runtime.CompilerServices;
using CrossAlign.Kernels.Cpu.Simd;

namespace CrossAlign.Kernels.Cpu.Similarity;

/// <summary>The epilogue of the second pass: logits of one row of a super-tile become the gradients of the loss with respect to them.</summary>
/// <typeparam name="TVector">The vector width; <see cref="FloatScalar"/> for the columns that fill no vector.</typeparam>
internal static unsafe class CpuSimilarityGradientSweeps<TVector>
    where TVector : unmanaged, ISimdFloat<TVector>
{
    /// <summary>Rows alone: <c>a exp(x - max)</c>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Rows(in CpuSimilarityLine line, float* row, int start, int end)
    {
        TVector threshold = TVector.Broadcast(line.Threshold);
        TVector max = TVector.Broadcast(line.Max);
        TVector a = TVector.Broadcast(line.Coefficient);
        TVector masked = TVector.Broadcast(float.NegativeInfinity);
        TVector sign = TVector.Broadcast(line.ThresholdSign);
        for (int j = start; j < end; j += TVector.Count)
        {
            TVector x = TVector.Load(row + j);
            TVector.Store(a * SimdMath.ExpNonPositive(TVector.SelectLess(threshold, x * sign, masked, x) - max), row + j);
        }
    }

    /// <summary>Columns alone: <c>b_j exp(x - max_j)</c>; 0 where b_j is, whatever x.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Columns(in CpuSimilarityState s, float* row, int start, int end)
    {
        float* thresholds = s.Columns.Threshold == null ? s.Unbounded : s.Columns.Threshold + s.FirstColumn;
        float* max = s.Columns.Max + s.FirstColumn;
        float* b = s.Columns.Sum + s.FirstColumn;
        TVector masked = TVector.Broadcast(float.NegativeInfinity);
        TVector sign = TVector.Broadcast(s.ThresholdSign);
        TVector smallest = TVector.Broadcast(float.Epsilon);
        for (int j = start; j < end; j += TVector.Count)
        {
            TVector x = TVector.Load(row + j);
            TVector coefficient = TVector.Load(b + j);
            x = TVector.SelectLess(TVector.Load(thresholds + j), x * sign, masked, x);
            TVector g = coefficient * SimdMath.ExpNonPositive(x - TVector.Load(max + j));
            TVector.Store(TVector.SelectLess(coefficient, smallest, TVector.Zero, g), row + j);
        }
    }

    /// <summary>Both directions: <c>a exp(x - max) + b_j exp(x - max_j)</c>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Both(in CpuSimilarityState s, in CpuSimilarityLine line, float* row, int start, int end)
    {
        float* thresholds = s.Columns.Threshold == null ? s.Unbounded : s.Columns.Threshold + s.FirstColumn;
        float* columnMax = s.Columns.Max + s.FirstColumn;
        float* b = s.Columns.Sum + s.FirstColumn;
        TVector threshold = TVector.Broadcast(line.Threshold);
        TVector max = TVector.Broadcast(line.Max);
        TVector a = TVector.Broadcast(line.Coefficient);
        TVector masked = TVector.Broadcast(float.NegativeInfinity);
        TVector sign = TVector.Broadcast(line.ThresholdSign);
        for (int j = start; j < end; j += TVector.Count)
        {
            TVector x = TVector.Load(row + j);
            TVector signed = x * sign;
            TVector forRow = TVector.SelectLess(threshold, signed, masked, x);
            TVector forColumn = TVector.SelectLess(TVector.Load(thresholds + j), signed, masked, x);
            TVector g = TVector.Load(b + j) * SimdMath.ExpNonPositive(forColumn - TVector.Load(columnMax + j));
            TVector.Store(TVector.MultiplyAdd(a, SimdMath.ExpNonPositive(forRow - max), g), row + j);
        }
    }

    /// <summary>Both directions by one exponential: <c>(a + h d_j) exp(x - max)</c>; see <see cref="CpuSimilarityTileGradients"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void BothByOne(in CpuSimilarityLine line, float ofRow, float* ofColumns, float* row, int start, int end)
    {
        TVector max = TVector.Broadcast(line.Max);
        TVector a = TVector.Broadcast(line.Coefficient);
        TVector h = TVector.Broadcast(ofRow);
        for (int j = start; j < end; j += TVector.Count)
        {
            TVector e = SimdMath.ExpNonPositive(TVector.Load(row + j) - max);
            TVector.Store(e * TVector.MultiplyAdd(h, TVector.Load(ofColumns + j), a), row + j);
        }
    }

    /// <summary>Logits where they are wanted (a constant of the caller's), <see cref="BothByOne"/> and <see cref="Normalize"/>, operation by operation the same.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void InOneSweep(
        bool makesLogits, in CpuSimilarityLine line, float factor, float ofRow, float rowRstd, float* columnRstd, float* ofColumns, float* row, int start, int end)
    {
        TVector factors = TVector.Broadcast(factor);
        TVector max = TVector.Broadcast(line.Max);
        TVector a = TVector.Broadcast(line.Coefficient);
        TVector h = TVector.Broadcast(ofRow);
        TVector norm = TVector.Broadcast(rowRstd);
        for (int j = start; j < end; j += TVector.Count)
        {
            TVector rstd = TVector.Load(columnRstd + j);
            TVector x = TVector.Load(row + j);
            x = makesLogits ? x * factors * rstd : x;
            TVector g = SimdMath.ExpNonPositive(x - max) * TVector.MultiplyAdd(h, TVector.Load(ofColumns + j), a);
            TVector.Store(g * norm * rstd, row + j);
        }
    }

    /// <summary><c>d_j = b_j exp(highest - max_j)</c>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void ColumnFactors(float* b, float* max, float highest, float* factors, int start, int end)
    {
        TVector highests = TVector.Broadcast(highest);
        for (int j = start; j < end; j += TVector.Count)
        {
            // The reciprocal of an exponential that is no less than e^-45.
            TVector e = SimdMath.ExpNonPositive(TVector.Load(max + j) - highests);
            TVector.Store(TVector.Load(b + j) / e, factors + j);
        }
    }

    /// <summary>What label smoothing takes off each participant; <paramref name="smoothing"/> is overwritten, for the logits are about to be.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Smoothing(in CpuSimilarityState s, in CpuSimilarityLine line, float* row, float* smoothing, int start, int end)
    {
        float* thresholds = s.Columns.Threshold == null ? s.Unbounded : s.Columns.Threshold + s.FirstColumn;
        float* columns = s.Columns.LogitSum + s.FirstColumn;
        TVector threshold = TVector.Broadcast(line.Threshold);
        TVector ofRow = TVector.Broadcast(line.Smoothing);
        TVector lowest = TVector.Broadcast(float.NegativeInfinity);
        TVector sign = TVector.Broadcast(line.ThresholdSign);
        for (int j = start; j < end; j += TVector.Count)
        {
            TVector x = TVector.Load(row + j);
            TVector signed = x * sign;
            TVector taken = TVector.SelectLess(lowest, TVector.SelectLess(threshold, signed, lowest, x), ofRow, TVector.Zero);
            if (s.Columns.Active)
            {
                TVector forColumn = TVector.SelectLess(TVector.Load(thresholds + j), signed, lowest, x);
                taken += TVector.SelectLess(lowest, forColumn, TVector.Load(columns + j), TVector.Zero);
            }

            TVector.Store(taken, smoothing + j);
        }
    }

    /// <summary><c>row -= taken</c>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Subtract(float* row, float* taken, int start, int end)
    {
        for (int j = start; j < end; j += TVector.Count)
        {
            TVector.Store(TVector.Load(row + j) - TVector.Load(taken + j), row + j);
        }
    }

    /// <summary>Shared groups: every member of the row's group is a positive of the row, and the row one of it.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void SubtractGroup(in CpuSimilarityState s, float* row, float group, float ofRow, int start, int end)
    {
        float* columnGroups = s.Columns.Group + s.FirstColumn;
        float* columns = s.Columns.Active ? s.Columns.Positive + s.FirstColumn : null;
        TVector groups = TVector.Broadcast(group);
        TVector half = TVector.Broadcast(0.5f);
        TVector weight = TVector.Broadcast(ofRow);
        for (int j = start; j < end; j += TVector.Count)
        {
            TVector distance = TVector.Abs(TVector.Load(columnGroups + j) - groups);
            TVector taken = columns == null ? weight : weight + TVector.Load(columns + j);
            TVector.Store(TVector.Load(row + j) - TVector.SelectLess(distance, half, taken, TVector.Zero), row + j);
        }
    }

    /// <summary>Sigmoid: logits become <c>a sigmoid(x)</c>; the sum of softplus(x) is added to <paramref name="loss"/>, that of the results to <paramref name="sum"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Sigmoid(float* row, float coefficient, int start, int end, ref double loss, ref double sum)
    {
        TVector a = TVector.Broadcast(coefficient);
        TVector one = TVector.Broadcast(1);
        TVector losses = TVector.Zero;
        TVector sums = TVector.Zero;
        for (int j = start; j < end; j += TVector.Count)
        {
            TVector x = TVector.Load(row + j);
            TVector t = SimdMath.ExpNonPositive(TVector.Zero - TVector.Abs(x));
            TVector larger = one / (one + t);
            TVector sigmoid = TVector.SelectLess(x, TVector.Zero, t * larger, larger);
            losses += TVector.SelectLess(TVector.Zero, x, x, TVector.Zero) + SimdMath.LogOnePlus(t);
            TVector g = a * sigmoid;
            sums += g;
            TVector.Store(g, row + j);
        }

        loss += TVector.Sum(losses);
        sum += TVector.Sum(sums);
    }

    /// <summary>Changes the sign of the members of the row's group; their sum before that is returned.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static double FlipGroup(float* row, float group, float* columnGroups, int start, int end)
    {
        TVector groups = TVector.Broadcast(group);
        TVector half = TVector.Broadcast(0.5f);
        TVector sum = TVector.Zero;
        for (int j = start; j < end; j += TVector.Count)
        {
            TVector x = TVector.Load(row + j);
            TVector distance = TVector.Abs(TVector.Load(columnGroups + j) - groups);
            sum += TVector.SelectLess(distance, half, x, TVector.Zero);
            TVector.Store(TVector.SelectLess(distance, half, TVector.Zero - x, x), row + j);
        }

        return TVector.Sum(sum);
    }

    /// <summary>The norms, which the products' operands do not have: <c>row *= factor rstd_j</c>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Normalize(in CpuSimilarityState s, float* row, float factor, int start, int end)
    {
        float* rstd = s.Columns.Rstd + s.FirstColumn;
        TVector factors = TVector.Broadcast(factor);
        for (int j = start; j < end; j += TVector.Count)
        {
            TVector.Store(TVector.Load(row + j) * factors * TVector.Load(rstd + j), row + j);
        }
    }
}

/// <summary>The coefficients of one row; see <see cref="CpuSimilaritySide"/>.</summary>
internal struct CpuSimilarityLine
{
    public float Max;
    public float Coefficient;
    public float Smoothing;
    public float Threshold;

    /// <summary>See <see cref="CpuSimilarityState.ThresholdSign"/>.</summary>
    public float ThresholdSign;
}
