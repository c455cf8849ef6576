using System.Runtime.CompilerServices;
using CrossAlign.Kernels.Cpu.Simd;

namespace CrossAlign.Kernels.Cpu.Similarity;

/// <summary>
/// The first pass over a super-tile. A task owns a strip of rows: it makes logits of dot products, merges each row's part into the
/// row's running (maximum, sum), and leaves one pair a column; a second job merges the strips' pairs into the columns' running
/// pairs, in the strips' order. No two tasks write to one place, and nothing depends on who runs them.
/// </summary>
internal static unsafe class CpuSimilarityStats
{
    private const int MergeColumns = 256;

    // The columns that are looked at together for sums below e^-25: what underflows beside such a sum, below e^-87, is less than e^-62 of it, and 32 rows
    // have no more than that. The second pass counts on it, too (CpuSimilarityTileGradients.MaxDistance).
    private const int CheckedColumns = 64;
    private const float LowestColumnSum = 1.4e-11f;

    /// <summary>Adds the super-tile to the statistics.</summary>
    public static void Run(CpuSimilarityState* s, Runtime.WorkerPool workers)
    {
        workers.Run(s->Strips, SimdKernel.For<StripKernel>(Runtime.DType.Float32), s);
        if (s->Columns.Active)
        {
            workers.Run((s->TileColumns + MergeColumns - 1) / MergeColumns, SimdKernel.For<MergeKernel>(Runtime.DType.Float32), s);
        }
    }

    /// <summary>Makes a row's logits of its dot products; both passes call this one.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void MakeLogits<TVector>(in CpuSimilarityState s, float* row, int globalRow, int whole)
        where TVector : unmanaged, ISimdFloat<TVector>
    {
        float factor = s.Rows.Rstd == null ? s.Scale : s.Scale * s.Rows.Rstd[globalRow];
        int target = TargetInTile(s, globalRow);
        float similarity = target >= 0 ? row[target] : 0;
        CpuSimilaritySweeps<TVector>.Logits(s, row, factor, 0, whole);
        CpuSimilaritySweeps<FloatScalar>.Logits(s, row, factor, whole, s.TileColumns);
        if (s.Groups == SimilarityCrossEntropyGroups.Masked)
        {
            float group = s.Rows.Group[globalRow];
            float* groups = s.Columns.Group + s.FirstColumn;
            CpuSimilaritySweeps<TVector>.MaskGroup(row, group, groups, 0, whole);
            CpuSimilaritySweeps<FloatScalar>.MaskGroup(row, group, groups, whole, s.TileColumns);
            if (target >= 0)
            {
                // The target is of the row's group and stays.
                row[target] = similarity;
                CpuSimilaritySweeps<FloatScalar>.Logits(s, row, factor, target, target + 1);
            }
        }
    }

    /// <summary>Where in the super-tile the row's target lies; -1 for elsewhere.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int TargetInTile(in CpuSimilarityState s, int globalRow)
    {
        int target = s.Target(globalRow);
        return target >= s.FirstColumn && target < s.FirstColumn + s.TileColumns ? target - s.FirstColumn : -1;
    }

    /// <summary>(max, sum) and one more term, which may be larger.</summary>
    private static void Merge(ref float max, ref float sum, float moreMax, double moreSum)
    {
        float larger = moreMax > max ? moreMax : max;
        sum = (float)((sum * Math.Exp((double)max - larger)) + (moreSum * Math.Exp((double)moreMax - larger)));
        max = larger;
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
            float* strip = s->Tile + ((nint)first * columns);
            // A column with one participant has a loss of exactly 0, but only by a maximum of its own.
            bool byOne = s->RowsAndColumnsAgree && s->Groups != SimilarityCrossEntropyGroups.Masked && s->TileRows >= CpuSimilarityState.StripRows;
            bool asDots = byOne && s->Normalize && s->Groups == SimilarityCrossEntropyGroups.None && s->Kept == null;
            float* rowMax = stackalloc float[CpuSimilarityState.StripRows];
            for (int i = 0; i < rows; i++)
            {
                float* row = strip + ((nint)i * columns);
                int globalRow = s->FirstRow + first + i;
                if (asDots)
                {
                    rowMax[i] = MaxOfDots<TVector>(s, row, globalRow, whole);
                    continue;
                }

                MakeLogits<TVector>(*s, row, globalRow, whole);
                AddPositives<TVector>(s, row, globalRow, whole);
                if (byOne)
                {
                    rowMax[i] = MathF.Max(CpuSimilaritySweeps<TVector>.Max(row, 0, whole), CpuSimilaritySweeps<FloatScalar>.Max(row, whole, columns));
                }
                else if (s->Rows.Active)
                {
                    AddRow<TVector>(s, row, globalRow, whole);
                }
            }

            if (byOne)
            {
                AddColumnGroups<TVector>(s, strip, s->FirstRow + first, rows, (nint)task * s->TileCapacity, whole);
                BothByOne<TVector>(s, strip, asDots, rowMax, s->FirstRow + first, rows, (nint)task * s->TileCapacity, whole);
            }
            else if (s->Columns.Active)
            {
                Columns<TVector>(s, strip, s->FirstRow + first, rows, (nint)task * s->TileCapacity, whole);
            }
        }

        private static void AddPositives<TVector>(CpuSimilarityState* s, float* row, int globalRow, int whole)
            where TVector : unmanaged, ISimdFloat<TVector>
        {
            if (s->Groups == SimilarityCrossEntropyGroups.Shared)
            {
                float group = s->Rows.Group[globalRow];
                float* groups = s->Columns.Group + s->FirstColumn;
                s->Rows.Positive[globalRow] += (float)(CpuSimilaritySweeps<TVector>.SumGroup(row, group, groups, 0, whole)
                    + CpuSimilaritySweeps<FloatScalar>.SumGroup(row, group, groups, whole, s->TileColumns));
                return;
            }

            int target = TargetInTile(*s, globalRow);
            if (target >= 0)
            {
                s->Rows.Positive[globalRow] = row[target];
            }
        }

        private static void AddRow<TVector>(CpuSimilarityState* s, float* row, int globalRow, int whole)
            where TVector : unmanaged, ISimdFloat<TVector>
        {
            int columns = s->TileColumns;
            float threshold = float.PositiveInfinity;
            float max;
            double sum;
            if (s->HasMargin)
            {
                threshold = s->Rows.Threshold[globalRow];
                max = MathF.Max(
                    CpuSimilaritySweeps<TVector>.Max(row, threshold, s->ThresholdSign, 0, whole), CpuSimilaritySweeps<FloatScalar>.Max(row, threshold, s->ThresholdSign, whole, columns));
                sum = CpuSimilaritySweeps<TVector>.SumExp(row, true, threshold, s->ThresholdSign, max, 0, whole)
                    + CpuSimilaritySweeps<FloatScalar>.SumExp(row, true, threshold, s->ThresholdSign, max, whole, columns);
            }
            else
            {
                max = MathF.Max(CpuSimilaritySweeps<TVector>.Max(row, 0, whole), CpuSimilaritySweeps<FloatScalar>.Max(row, whole, columns));
                sum = CpuSimilaritySweeps<TVector>.SumExp(row, false, threshold, s->ThresholdSign, max, 0, whole)
                    + CpuSimilaritySweeps<FloatScalar>.SumExp(row, false, threshold, s->ThresholdSign, max, whole, columns);
            }

            Merge(ref s->Rows.Max[globalRow], ref s->Rows.Sum[globalRow], max, sum);

            // Rounding can lift the positive itself above a threshold that was made of it.
            int target = TargetInTile(*s, globalRow);
            bool dropped = target >= 0 && row[target] * s->ThresholdSign > threshold;
            if (dropped)
            {
                Merge(ref s->Rows.Max[globalRow], ref s->Rows.Sum[globalRow], row[target], 1);
            }

            if (s->Smoothing > 0)
            {
                double logits = dropped ? row[target] : 0;
                double participants = dropped ? 1 : 0;
                CpuSimilaritySweeps<TVector>.SumParticipants(row, threshold, s->ThresholdSign, 0, whole, ref logits, ref participants);
                CpuSimilaritySweeps<FloatScalar>.SumParticipants(row, threshold, s->ThresholdSign, whole, columns, ref logits, ref participants);
                s->Rows.LogitSum[globalRow] += (float)logits;
                s->Rows.Participants[globalRow] += (float)participants;
            }
        }

        // What MakeLogits and AddPositives do, without writing logits that nobody reads again: memory is what a sweep waits for.
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private static float MaxOfDots<TVector>(CpuSimilarityState* s, float* row, int globalRow, int whole)
            where TVector : unmanaged, ISimdFloat<TVector>
        {
            float factor = s->Scale * s->Rows.Rstd[globalRow];
            float* columnRstd = s->Columns.Rstd + s->FirstColumn;
            int target = TargetInTile(*s, globalRow);
            if (target >= 0)
            {
                s->Rows.Positive[globalRow] = row[target] * factor * columnRstd[target];
            }

            return MathF.Max(
                CpuSimilaritySweeps<TVector>.MaxOfDots(row, factor, columnRstd, 0, whole),
                CpuSimilaritySweeps<FloatScalar>.MaxOfDots(row, factor, columnRstd, whole, s->TileColumns));
        }

        // One exponential serves a row and, times the row's exp(max - highest), the columns: with the strip's highest maximum as every column's.
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private static void BothByOne<TVector>(CpuSimilarityState* s, float* strip, bool asDots, float* rowMax, int firstRow, int rows, nint at, int whole)
            where TVector : unmanaged, ISimdFloat<TVector>
        {
            int columns = s->TileColumns;
            float* max = s->StripMax + at;
            float* sum = s->StripSum + at;
            float highest = rowMax[0];
            for (int i = 1; i < rows; i++)
            {
                highest = MathF.Max(highest, rowMax[i]);
            }

            float* columnRstd = s->Columns.Rstd + s->FirstColumn;
            new Span<float>(sum, columns).Clear();
            for (int i = 0; i < rows; i++)
            {
                float* row = strip + ((nint)i * columns);
                float ofColumns = MathF.Exp(rowMax[i] - highest);
                float factor = asDots ? s->Scale * s->Rows.Rstd[firstRow + i] : 1;
                double total = asDots
                    ? CpuSimilaritySweeps<TVector>.SumExpBoth(row, rowMax[i], ofColumns, sum, factor, columnRstd, 0, whole)
                        + CpuSimilaritySweeps<FloatScalar>.SumExpBoth(row, rowMax[i], ofColumns, sum, factor, columnRstd, whole, columns)
                    : CpuSimilaritySweeps<TVector>.SumExpBoth(row, rowMax[i], ofColumns, sum, factor, null, 0, whole)
                        + CpuSimilaritySweeps<FloatScalar>.SumExpBoth(row, rowMax[i], ofColumns, sum, factor, null, whole, columns);
                Merge(ref s->Rows.Max[firstRow + i], ref s->Rows.Sum[firstRow + i], rowMax[i], total);
            }

            // A column whose sum is so small lies far below the strip's maximum: it gets its own.
            new Span<float>(max, columns).Fill(highest);
            for (int start = 0; start < whole; start += CheckedColumns)
            {
                int end = Math.Min(start + CheckedColumns, whole);
                if (CpuSimilaritySweeps<TVector>.Min(sum, start, end) < LowestColumnSum)
                {
                    OwnMaxima<TVector>(s, strip, asDots, firstRow, rows, max, sum, start, end);
                }
            }

            if (CpuSimilaritySweeps<FloatScalar>.Min(sum, whole, columns) < LowestColumnSum)
            {
                OwnMaxima<FloatScalar>(s, strip, asDots, firstRow, rows, max, sum, whole, columns);
            }
        }

        private static void AddColumnGroups<TVector>(CpuSimilarityState* s, float* strip, int firstRow, int rows, nint at, int whole)
            where TVector : unmanaged, ISimdFloat<TVector>
        {
            if (s->Groups == SimilarityCrossEntropyGroups.Shared)
            {
                float* rowGroups = s->Rows.Group + firstRow;
                CpuSimilaritySweeps<TVector>.ColumnGroupSums(*s, strip, rowGroups, rows, s->StripPositive + at, 0, whole);
                CpuSimilaritySweeps<FloatScalar>.ColumnGroupSums(*s, strip, rowGroups, rows, s->StripPositive + at, whole, s->TileColumns);
            }
        }

        private static void OwnMaxima<TVector>(CpuSimilarityState* s, float* strip, bool asDots, int firstRow, int rows, float* max, float* sum, int start, int end)
            where TVector : unmanaged, ISimdFloat<TVector>
        {
            for (int i = 0; asDots && i < rows; i++)
            {
                CpuSimilaritySweeps<TVector>.Logits(*s, strip + ((nint)i * s->TileColumns), s->Scale * s->Rows.Rstd[firstRow + i], start, end);
            }

            CpuSimilaritySweeps<TVector>.ColumnPairs(*s, false, strip, rows, max, sum, start, end);
        }

        private static void Columns<TVector>(CpuSimilarityState* s, float* strip, int firstRow, int rows, nint at, int whole)
            where TVector : unmanaged, ISimdFloat<TVector>
        {
            int columns = s->TileColumns;
            float* max = s->StripMax + at;
            float* sum = s->StripSum + at;
            if (s->HasMargin)
            {
                CpuSimilaritySweeps<TVector>.ColumnPairs(*s, true, strip, rows, max, sum, 0, whole);
                CpuSimilaritySweeps<FloatScalar>.ColumnPairs(*s, true, strip, rows, max, sum, whole, columns);
            }
            else
            {
                CpuSimilaritySweeps<TVector>.ColumnPairs(*s, false, strip, rows, max, sum, 0, whole);
                CpuSimilaritySweeps<FloatScalar>.ColumnPairs(*s, false, strip, rows, max, sum, whole, columns);
            }

            if (s->Smoothing > 0)
            {
                CpuSimilaritySweeps<TVector>.ColumnParticipants(*s, strip, rows, s->StripLogitSum + at, s->StripParticipants + at, 0, whole);
                CpuSimilaritySweeps<FloatScalar>.ColumnParticipants(*s, strip, rows, s->StripLogitSum + at, s->StripParticipants + at, whole, columns);
            }

            AddColumnGroups<TVector>(s, strip, firstRow, rows, at, whole);

            if (s->HasMargin)
            {
                for (int i = 0; i < rows; i++)
                {
                    int target = TargetInTile(*s, firstRow + i);
                    float logit = target >= 0 ? strip[((nint)i * columns) + target] : 0;
                    if (target >= 0 && logit * s->ThresholdSign > s->Columns.Threshold[s->FirstColumn + target])
                    {
                        Merge(ref max[target], ref sum[target], logit, 1);
                        if (s->Smoothing > 0)
                        {
                            s->StripLogitSum[at + target] += logit;
                            s->StripParticipants[at + target] += 1;
                        }
                    }
                }
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
            CpuSimilarityState* s = (CpuSimilarityState*)state;
            int start = task * MergeColumns;
            int end = Math.Min(start + MergeColumns, s->TileColumns);
            int whole = end - ((end - start) % TVector.Count);
            for (int strip = 0; strip < s->Strips; strip++)
            {
                nint at = (nint)strip * s->TileCapacity;
                float* max = s->Columns.Max + s->FirstColumn;
                float* sum = s->Columns.Sum + s->FirstColumn;
                CpuSimilaritySweeps<TVector>.MergePairs(max, sum, s->StripMax + at, s->StripSum + at, start, whole);
                CpuSimilaritySweeps<FloatScalar>.MergePairs(max, sum, s->StripMax + at, s->StripSum + at, whole, end);
                if (s->Smoothing > 0)
                {
                    Add<TVector>(s->Columns.LogitSum + s->FirstColumn, s->StripLogitSum + at, start, whole, end);
                    Add<TVector>(s->Columns.Participants + s->FirstColumn, s->StripParticipants + at, start, whole, end);
                }

                if (s->Groups == SimilarityCrossEntropyGroups.Shared)
                {
                    Add<TVector>(s->Columns.Positive + s->FirstColumn, s->StripPositive + at, start, whole, end);
                }
            }
        }

        private static void Add<TVector>(float* total, float* more, int start, int whole, int end)
            where TVector : unmanaged, ISimdFloat<TVector>
        {
            CpuSimilaritySweeps<TVector>.Add(total, more, start, whole);
            CpuSimilaritySweeps<FloatScalar>.Add(total, more, whole, end);
        }
    }
}
