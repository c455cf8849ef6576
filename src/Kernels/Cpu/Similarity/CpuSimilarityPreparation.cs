using System.Runtime.InteropServices;
using CrossAlign.Kernels.Cpu.Simd;
using CrossAlign.Runtime;

namespace CrossAlign.Kernels.Cpu.Similarity;

/// <summary>What the passes need before they start: checks, norms, groups as small numbers, counts of positives, thresholds. O(B E).</summary>
internal static unsafe class CpuSimilarityPreparation
{
    // torch.nn.functional.normalize
    private const double NormEpsilon = 1e-12;
    private const int MinRowsPerPartition = 32;

    // Of a side's longest row, in powers of two: dot products are below 2^120 then, and float32 ends at 2^128.
    private const int MaxExponent = 59;

    // The factor itself and its product with a norm stay normal numbers.
    private const int MaxFactorExponent = 126;

    /// <summary>Refuses targets out of range and weights that are negative or not finite.</summary>
    /// <exception cref="ArgumentException">The message names the row.</exception>
    public static void CheckRows(in CpuSimilarityState s)
    {
        for (int i = 0; i < s.Rows.Count; i++)
        {
            if (s.Targets != null && s.Targets[i] != SimilarityCrossEntropy.IgnoreIndex && (uint)s.Targets[i] >= (uint)s.ImageCount)
            {
                throw new ArgumentException(
                    $"inputs.Targets of row {i} is {s.Targets[i]}; it must be 0 to {s.ImageCount - 1}, or {SimilarityCrossEntropy.IgnoreIndex} to ignore the row.");
            }

            if (s.RowWeights != null && !(s.RowWeights[i] >= 0 && float.IsFinite(s.RowWeights[i])))
            {
                throw new ArgumentException(
                    string.Create(System.Globalization.CultureInfo.InvariantCulture, $"inputs.RowWeights of row {i} is {s.RowWeights[i]}; a weight must be finite and not negative."));
            }
        }
    }

    /// <summary>Numbers the groups and counts positives; independent of the prefix.</summary>
    public static void CountPositives(CpuSimilarityState* s)
    {
        int rows = s->Rows.Count;
        int columns = s->Columns.Count;
        if (s->Groups != SimilarityCrossEntropyGroups.None)
        {
            NumberGroups(s);
        }

        if (s->Groups == SimilarityCrossEntropyGroups.Shared)
        {
            return;
        }

        if (s->Columns.PositiveCount != null)
        {
            new Span<float>(s->Columns.PositiveCount, columns).Clear();
            new Span<float>(s->Columns.PositiveWeight, columns).Clear();
            for (int i = 0; i < rows; i++)
            {
                int target = s->Target(i);
                if (target >= 0)
                {
                    s->Columns.PositiveCount[target] += 1;
                    s->Columns.PositiveWeight[target] += s->RowWeight(i);
                }
            }
        }
    }

    /// <summary>The norms of both sides over the prefix, and the thresholds of the false-negative mask. For the first prefix also the factors that keep dot
    /// products in range.</summary>
    public static void Measure(CpuSimilarityState* s, CpuSimilarityBlock* blocks, int blockCount, bool isFirst, WorkerPool workers)
    {
        if (s->Normalize)
        {
            Norms(s, blocks[0].Captions, blocks[0].RowCount, s->Rows.Rstd + blocks[0].RowOffset, s->CaptionFactor, workers);
            for (int b = 0; b < blockCount; b++)
            {
                Norms(s, blocks[b].Images, blocks[b].ColumnCount, s->Columns.Rstd + blocks[b].ColumnOffset, s->ImageFactor, workers);
            }

            if (isFirst && KeepInRange(s))
            {
                Measure(s, blocks, blockCount, isFirst: false, workers);
                return;
            }
        }

        if (s->HasMargin)
        {
            Thresholds(s, blocks[0], workers);
        }
    }

    /// <summary>Finds the factors of sides with so long rows that products with them, or with their norms' reciprocals, could leave float32's range. They hold
    /// for all prefixes.</summary>
    /// <returns>Whether there are any, and the norms are to be taken again.</returns>
    private static bool KeepInRange(CpuSimilarityState* s)
    {
        s->CaptionFactor = FactorOf(LongestExponent(s->Rows.Rstd, s->Rows.Count));
        s->ImageFactor = FactorOf(LongestExponent(s->Columns.Rstd, s->Columns.Count));
        return s->CaptionFactor != 1 || s->ImageFactor != 1;

        static float FactorOf(int exponent) => exponent <= MaxExponent ? 1 : MathF.ScaleB(1, -Math.Min(exponent, MaxFactorExponent));
    }

    /// <summary>The binary exponent of the longest finite row.</summary>
    private static int LongestExponent(float* rstd, int count)
    {
        float lowest = float.PositiveInfinity;
        for (int i = 0; i < count; i++)
        {
            // A row that is not finite stays what it is.
            lowest = rstd[i] > 0 && rstd[i] < lowest ? rstd[i] : lowest;
        }

        return float.IsFinite(lowest) ? -MathF.ILogB(lowest) : 0;
    }

    private static void Norms(CpuSimilarityState* s, void* source, int count, float* rstd, float factor, WorkerPool workers)
    {
        NormState state = new() { Factor = factor, Partition = new RowPartition(count, MinRowsPerPartition), Source = source, E = s->E, Width = s->Width, Rstd = rstd };
        workers.Run(state.Partition.Count, SimdKernel.For<NormKernel>(s->DType, s->Round), &state);
    }

    private static void Thresholds(CpuSimilarityState* s, in CpuSimilarityBlock block, WorkerPool workers)
    {
        DotState state = new() { Partition = new RowPartition(block.RowCount, MinRowsPerPartition), State = s, Block = block };
        workers.Run(state.Partition.Count, SimdKernel.For<DotKernel>(s->DType, s->Round), &state);

        // A column compares with the highest of its positives; one without a positive drops nothing.
        new Span<float>(s->Columns.Threshold, s->Columns.Count).Fill(float.PositiveInfinity);
        new Span<float>(s->Columns.Threshold, s->ImageCount).Fill(float.NegativeInfinity);
        for (int i = 0; i < s->Rows.Count; i++)
        {
            int target = s->Target(i);
            if (target >= 0)
            {
                s->Columns.Threshold[target] = MathF.Max(s->Columns.Threshold[target], s->Rows.Threshold[i]);
            }
        }

        for (int j = 0; j < s->ImageCount; j++)
        {
            s->Columns.Threshold[j] = float.IsNegativeInfinity(s->Columns.Threshold[j]) ? float.PositiveInfinity : s->Columns.Threshold[j];
        }
    }

    /// <summary>Groups get the numbers 0, 1, ... in the order of their ids; float32 tells 16 million apart.</summary>
    private static void NumberGroups(CpuSimilarityState* s)
    {
        int rows = s->Rows.Count;
        int images = s->ImageCount;
        Span<int> sorted = new(s->GroupIds, rows + images);
        new ReadOnlySpan<int>(s->CaptionGroups, rows).CopyTo(sorted);
        new ReadOnlySpan<int>(s->ImageGroups, images).CopyTo(sorted[rows..]);
        sorted.Sort();
        int unique = 0;
        for (int i = 0; i < sorted.Length; i++)
        {
            if (i == 0 || sorted[i] != sorted[unique - 1])
            {
                sorted[unique++] = sorted[i];
            }
        }

        if (unique > 1 << 24)
        {
            throw new ArgumentException($"There are {unique} groups; at most {1 << 24} are told apart.");
        }

        Span<int> groups = sorted[..unique];
        bool shared = s->Groups == SimilarityCrossEntropyGroups.Shared;
        for (int i = 0; i < rows; i++)
        {
            // Under shared groups an ignored row is nobody's positive.
            s->Rows.Group[i] = shared && s->Targets != null && s->Targets[i] == SimilarityCrossEntropy.IgnoreIndex
                ? -2 : groups.BinarySearch(s->CaptionGroups[i]);
        }

        for (int j = 0; j < s->Columns.Count; j++)
        {
            s->Columns.Group[j] = j < images ? groups.BinarySearch(s->ImageGroups[j]) : -1;
        }

        if (shared)
        {
            CountShared(s, unique);
        }
    }

    private static void CountShared(CpuSimilarityState* s, int groups)
    {
        // The ids are numbered by now; their memory holds the counts.
        Span<int> counts = new(s->GroupIds, groups);
        counts.Clear();
        for (int j = 0; j < s->ImageCount; j++)
        {
            counts[(int)s->Columns.Group[j]]++;
        }

        for (int i = 0; i < s->Rows.Count; i++)
        {
            s->Rows.PositiveCount[i] = s->Rows.Group[i] < 0 ? 0 : counts[(int)s->Rows.Group[i]];
        }

        counts.Clear();
        for (int i = 0; i < s->Rows.Count; i++)
        {
            if (s->Rows.Group[i] >= 0)
            {
                counts[(int)s->Rows.Group[i]]++;
            }
        }

        for (int j = 0; j < s->Columns.Count; j++)
        {
            s->Columns.PositiveCount[j] = j < s->ImageCount ? counts[(int)s->Columns.Group[j]] : 0;
        }

        if (s->Columns.PositiveWeight != null)
        {
            Span<float> weights = MemoryMarshal.Cast<int, float>(counts);
            weights.Clear();
            for (int i = 0; i < s->Rows.Count; i++)
            {
                if (s->Rows.Group[i] >= 0)
                {
                    weights[(int)s->Rows.Group[i]] += s->RowWeight(i);
                }
            }

            for (int j = 0; j < s->Columns.Count; j++)
            {
                s->Columns.PositiveWeight[j] = j < s->ImageCount ? weights[(int)s->Columns.Group[j]] : 0;
            }
        }
    }

    private struct NormState
    {
        public RowPartition Partition;
        public void* Source;
        public int E;
        public int Width;
        public float* Rstd;
        public float Factor;
    }

    private struct DotState
    {
        public RowPartition Partition;
        public CpuSimilarityState* State;
        public CpuSimilarityBlock Block;
    }

    private readonly struct NormKernel : ISimdKernel
    {
        public static void Run<TVector, TElement>(int task, void* state)
            where TVector : unmanaged, ISimdFloat<TVector>
            where TElement : unmanaged, ISimdElement
        {
            NormState* s = (NormState*)state;
            for (int row = s->Partition.Start(task); row < s->Partition.Start(task + 1); row++)
            {
                double squares = CpuSimilarityLines.Dot<TElement, TElement>(s->Source, (long)row * s->E, s->Source, (long)row * s->E, s->Width);
                s->Rstd[row] = (float)(1 / (Math.Max(Math.Sqrt(squares), NormEpsilon) * s->Factor));
            }
        }
    }

    // Of a similarity of 1: more than the products round, so that a negative equal to the positive does not exceed it. As in similarity_cross_entropy_embeddings.cu.
    private const double Slack = 1e-6;

    private readonly struct DotKernel : ISimdKernel
    {
        public static void Run<TVector, TElement>(int task, void* state)
            where TVector : unmanaged, ISimdFloat<TVector>
            where TElement : unmanaged, ISimdElement
        {
            DotState* d = (DotState*)state;
            CpuSimilarityState* s = d->State;
            for (int row = d->Partition.Start(task); row < d->Partition.Start(task + 1); row++)
            {
                int globalRow = d->Block.RowOffset + row;
                int target = s->Target(globalRow);
                s->Rows.Threshold[globalRow] = float.PositiveInfinity;
                if (target >= 0)
                {
                    double similarity = CpuSimilarityLines.Dot<TElement, TElement>(
                        d->Block.Captions, (long)row * s->E, d->Block.Images, (long)(target - d->Block.ColumnOffset) * s->E, s->Width);
                    similarity *= s->Rows.Rstd == null ? 1 : (double)s->CaptionFactor * s->Rows.Rstd[globalRow] * s->ImageFactor * s->Columns.Rstd[target];
                    double slack = Slack * (s->Rows.Rstd == null ? Math.Abs(similarity) : 1);
                    s->Rows.Threshold[globalRow] = (float)(((similarity + s->Margin) * s->Scale) + (slack * Math.Abs(s->Scale)));
                }
            }
        }
    }
}
