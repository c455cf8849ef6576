using System.Runtime.CompilerServices;
using CrossAlign.Kernels.Cpu.Simd;

namespace CrossAlign.Kernels.Cpu.Similarity;

/// <summary>
/// The second pass over a super-tile: its logits become, in place, the gradients with respect to them (with the norms of both sides
/// folded in), which two products then read.
/// <para>
/// Where rows and columns agree on what takes part, one exponential serves both directions: with C the columns' highest maximum,
/// a exp(z - m) + b_j exp(z - m_j) = (a + h d_j) exp(z - m), where h = exp(m - C) is the row's and d_j = b_j exp(C - m_j) the column's. What
/// underflows in exp(z - m) is below e^-87 of the row, and below e^-42 of a column whose maximum is no more than 20 below m: a column's maximum
/// may be that of a strip, which lies so high that its sum is no less than e^-25 (<see cref="CpuSimilarityStats"/>).
/// </para>
/// </summary>
internal static unsafe class CpuSimilarityTileGradients
{
    // How far below a row's maximum, and below the highest column's, a column's maximum may lie.
    private const float MaxDistance = 20;

    /// <summary>Overwrites the super-tile.</summary>
    public static void Run(CpuSimilarityState* s, Runtime.WorkerPool workers)
    {
        s->SharesExponentials = false;
        if (s->RowsAndColumnsAgree)
        {
            workers.Run(1, SimdKernel.For<ColumnKernel>(Runtime.DType.Float32), s);
        }

        workers.Run(s->Strips, SimdKernel.For<StripKernel>(Runtime.DType.Float32), s);
    }

    // The columns' factors take the place of the first strip's maxima, which are merged.
    private readonly struct ColumnKernel : ISimdKernel
    {
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public static void Run<TVector, TElement>(int task, void* state)
            where TVector : unmanaged, ISimdFloat<TVector>
            where TElement : unmanaged, ISimdElement
        {
            CpuSimilarityState* s = (CpuSimilarityState*)state;
            int columns = s->TileColumns;
            int whole = columns - (columns % TVector.Count);
            float* max = s->Columns.Max + s->FirstColumn;
            float* b = s->Columns.Sum + s->FirstColumn;
            s->HighestColumn = MathF.Max(CpuSimilaritySweeps<TVector>.Max(max, 0, whole), CpuSimilaritySweeps<FloatScalar>.Max(max, whole, columns));
            s->LowestColumn = MathF.Min(CpuSimilaritySweeps<TVector>.Min(max, 0, whole), CpuSimilaritySweeps<FloatScalar>.Min(max, whole, columns));
            s->SharesExponentials = s->HighestColumn - s->LowestColumn <= MaxDistance;
            if (s->SharesExponentials)
            {
                CpuSimilarityGradientSweeps<TVector>.ColumnFactors(b, max, s->HighestColumn, s->StripMax, 0, whole);
                CpuSimilarityGradientSweeps<FloatScalar>.ColumnFactors(b, max, s->HighestColumn, s->StripMax, whole, columns);
            }
        }
    }

    private readonly struct StripKernel : ISimdKernel
    {
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public static void Run<TVector, TElement>(int task, void* state)
            where TVector : unmanaged, ISimdFloat<TVector>
            where TElement : unmanaged, ISimdElement
        {
            CpuSimilarityState* s = (CpuSimilarityState*)state;
            int first = task * CpuSimilarityState.StripRows;
            int rows = Math.Min(CpuSimilarityState.StripRows, s->TileRows - first);
            int columns = s->TileColumns;
            int whole = columns - (columns % TVector.Count);
            bool inOneSweep = s->SharesExponentials && s->Normalize && s->Groups == SimilarityCrossEntropyGroups.None;
            for (int i = 0; i < rows; i++)
            {
                float* row = s->Tile + ((nint)(first + i) * columns);
                int globalRow = s->FirstRow + first + i;
                if (s->Rows.HasAbsent && s->IsAbsentRow(globalRow))
                {
                    new Span<float>(row, columns).Clear();
                    continue;
                }

                if (inOneSweep && s->Rows.Max[globalRow] - s->LowestColumn <= MaxDistance)
                {
                    InOneSweep<TVector>(s, row, globalRow, whole);
                    continue;
                }

                if (!s->TileHoldsLogits)
                {
                    CpuSimilarityStats.MakeLogits<TVector>(*s, row, globalRow, whole);
                }

                if (s->Sigmoid)
                {
                    Sigmoid<TVector>(s, row, globalRow, whole);
                }
                else
                {
                    Softmax<TVector>(s, row, globalRow, whole, task);
                }

                if (s->Normalize)
                {
                    float factor = s->Rows.Rstd[globalRow];
                    CpuSimilarityGradientSweeps<TVector>.Normalize(*s, row, factor, 0, whole);
                    CpuSimilarityGradientSweeps<FloatScalar>.Normalize(*s, row, factor, whole, columns);
                }
            }
        }

        /// <summary>What <see cref="CpuSimilarityStats.MakeLogits"/>, <see cref="Softmax"/> and the norms do one after the other, for the plain symmetric loss of normalised rows.</summary>
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private static void InOneSweep<TVector>(CpuSimilarityState* s, float* row, int globalRow, int whole)
            where TVector : unmanaged, ISimdFloat<TVector>
        {
            int columns = s->TileColumns;
            float rstd = s->Rows.Rstd[globalRow];
            float factor = s->Scale * rstd;
            CpuSimilarityLine line = new() { Max = s->Rows.Max[globalRow], Coefficient = s->Rows.Sum[globalRow] };
            float ofRow = MathF.Exp(line.Max - s->HighestColumn);
            int target = CpuSimilarityStats.TargetInTile(*s, globalRow);
            float* columnRstd = s->Columns.Rstd + s->FirstColumn;
            float positive = 0;
            if (target >= 0)
            {
                positive = s->TileHoldsLogits ? row[target] : row[target] * factor * columnRstd[target];
                CpuSimilarityGradientSweeps<FloatScalar>.BothByOne(line, ofRow, s->StripMax + target, &positive, 0, 1);
                positive -= s->Rows.Positive[globalRow] + s->Columns.Positive[s->FirstColumn + target];
            }

            if (s->TileHoldsLogits)
            {
                CpuSimilarityGradientSweeps<TVector>.InOneSweep(false, line, factor, ofRow, rstd, columnRstd, s->StripMax, row, 0, whole);
                CpuSimilarityGradientSweeps<FloatScalar>.InOneSweep(false, line, factor, ofRow, rstd, columnRstd, s->StripMax, row, whole, columns);
            }
            else
            {
                CpuSimilarityGradientSweeps<TVector>.InOneSweep(true, line, factor, ofRow, rstd, columnRstd, s->StripMax, row, 0, whole);
                CpuSimilarityGradientSweeps<FloatScalar>.InOneSweep(true, line, factor, ofRow, rstd, columnRstd, s->StripMax, row, whole, columns);
            }

            if (target >= 0)
            {
                row[target] = positive * rstd * columnRstd[target];
            }
        }

        private static void Softmax<TVector>(CpuSimilarityState* s, float* row, int globalRow, int whole, int task)
            where TVector : unmanaged, ISimdFloat<TVector>
        {
            int columns = s->TileColumns;
            bool forRows = s->Rows.Active;
            CpuSimilarityLine line = new()
            {
                Max = forRows ? s->Rows.Max[globalRow] : 0,
                Coefficient = forRows ? s->Rows.Sum[globalRow] : 0,
                Smoothing = forRows && s->Smoothing > 0 ? s->Rows.LogitSum[globalRow] : 0,
                Threshold = s->HasMargin ? s->Rows.Threshold[globalRow] : float.PositiveInfinity,
                ThresholdSign = s->ThresholdSign,
            };
            int target = CpuSimilarityStats.TargetInTile(*s, globalRow);
            float logit = target >= 0 ? row[target] : 0;
            float* smoothing = s->Smoothing > 0 ? s->StripLogitSum + ((nint)task * s->TileCapacity) : null;
            if (smoothing != null)
            {
                CpuSimilarityGradientSweeps<TVector>.Smoothing(*s, line, row, smoothing, 0, whole);
                CpuSimilarityGradientSweeps<FloatScalar>.Smoothing(*s, line, row, smoothing, whole, columns);
            }

            if (s->SharesExponentials && line.Max - s->LowestColumn <= MaxDistance)
            {
                float ofRow = MathF.Exp(line.Max - s->HighestColumn);
                CpuSimilarityGradientSweeps<TVector>.BothByOne(line, ofRow, s->StripMax, row, 0, whole);
                CpuSimilarityGradientSweeps<FloatScalar>.BothByOne(line, ofRow, s->StripMax, row, whole, columns);
            }
            else if (forRows && s->Columns.Active)
            {
                CpuSimilarityGradientSweeps<TVector>.Both(*s, line, row, 0, whole);
                CpuSimilarityGradientSweeps<FloatScalar>.Both(*s, line, row, whole, columns);
            }
            else if (forRows)
            {
                CpuSimilarityGradientSweeps<TVector>.Rows(line, row, 0, whole);
                CpuSimilarityGradientSweeps<FloatScalar>.Rows(line, row, whole, columns);
            }
            else
            {
                CpuSimilarityGradientSweeps<TVector>.Columns(*s, row, 0, whole);
                CpuSimilarityGradientSweeps<FloatScalar>.Columns(*s, row, whole, columns);
            }

            if (smoothing != null)
            {
                CpuSimilarityGradientSweeps<TVector>.Subtract(row, smoothing, 0, whole);
                CpuSimilarityGradientSweeps<FloatScalar>.Subtract(row, smoothing, whole, columns);
            }

            if (s->Groups == SimilarityCrossEntropyGroups.Shared)
            {
                float group = s->Rows.Group[globalRow];
                float weight = forRows ? s->Rows.Positive[globalRow] : 0;
                CpuSimilarityGradientSweeps<TVector>.SubtractGroup(*s, row, group, weight, 0, whole);
                CpuSimilarityGradientSweeps<FloatScalar>.SubtractGroup(*s, row, group, weight, whole, columns);
            }
            else if (target >= 0)
            {
                Positive(s, line, row, globalRow, target, logit);
            }
        }

        private static void Positive(CpuSimilarityState* s, in CpuSimilarityLine line, float* row, int globalRow, int target, float logit)
        {
            int column = s->FirstColumn + target;
            if (s->HasMargin)
            {
                // A threshold never drops the positive, however it was rounded.
                float g = s->Rows.Active ? (line.Coefficient * MathF.Exp(logit - line.Max)) - line.Smoothing : 0;
                if (s->Columns.Active && s->Columns.Sum[column] != 0)
                {
                    g += (s->Columns.Sum[column] * MathF.Exp(logit - s->Columns.Max[column])) - (s->Smoothing > 0 ? s->Columns.LogitSum[column] : 0);
                }

                row[target] = g;
            }

            row[target] -= (s->Rows.Active ? s->Rows.Positive[globalRow] : 0) + (s->Columns.Active ? s->Columns.Positive[column] : 0);
        }

        private static void Sigmoid<TVector>(CpuSimilarityState* s, float* row, int globalRow, int whole)
            where TVector : unmanaged, ISimdFloat<TVector>
        {
            float coefficient = s->Rows.Positive[globalRow];
            double loss = 0;
            double sum = 0;

            // A positive's loss is softplus(-x), its gradient -sigmoid(-x): the same as a negative's but for two changes of sign.
            FlipPositives<TVector>(s, row, globalRow, whole);
            CpuSimilarityGradientSweeps<TVector>.Sigmoid(row, coefficient, 0, whole, ref loss, ref sum);
            CpuSimilarityGradientSweeps<FloatScalar>.Sigmoid(row, coefficient, whole, s->TileColumns, ref loss, ref sum);
            sum -= 2 * FlipPositives<TVector>(s, row, globalRow, whole);
            s->Rows.Sum[globalRow] += (float)loss;
            s->Rows.Max[globalRow] += (float)sum;
        }

        /// <summary>Changes the sign of the row's positives; their sum before that is returned.</summary>
        private static double FlipPositives<TVector>(CpuSimilarityState* s, float* row, int globalRow, int whole)
            where TVector : unmanaged, ISimdFloat<TVector>
        {
            if (s->Groups == SimilarityCrossEntropyGroups.Shared)
            {
                float group = s->Rows.Group[globalRow];
                float* groups = s->Columns.Group + s->FirstColumn;
                return CpuSimilarityGradientSweeps<TVector>.FlipGroup(row, group, groups, 0, whole)
                    + CpuSimilarityGradientSweeps<FloatScalar>.FlipGroup(row, group, groups, whole, s->TileColumns);
            }

            int target = CpuSimilarityStats.TargetInTile(*s, globalRow);
            if (target < 0)
            {
                return 0;
            }

            float value = row[target];
            row[target] = -value;
            return value;
        }
    }
}
