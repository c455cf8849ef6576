using System.Runtime.CompilerServices;
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

    // In powers of two, as the longest lines are read: dot products are below 2^80, and products of two norms' reciprocals and a gradient of 2^-46 are
    // normal numbers; float32 goes from 2^-126 to 2^128.
    private const int MaxExponent = 40;

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
            CpuSimilarityPositives.Count(s, 0);
        }
    }

    /// <summary>The norms of both sides over the prefix, and the thresholds of the false-negative mask.</summary>
    public static void Measure(CpuSimilarityState* s, CpuSimilarityBlock* blocks, int blockCount, WorkerPool workers)
    {
        if (s->Normalize)
        {
            s->Rows.HasLong = Norms(s, blocks[0].Captions, blocks[0].RowCount, s->Rows.Rstd + blocks[0].RowOffset, workers);
            s->Columns.HasLong = false;
            for (int b = 0; b < blockCount; b++)
            {
                s->Columns.HasLong |= Norms(s, blocks[b].Images, blocks[b].ColumnCount, s->Columns.Rstd + blocks[b].ColumnOffset, workers);
            }
        }

        if (s->HasMargin)
        {
            Thresholds(s, blocks[0], workers);
        }
    }

    /// <summary>What products multiply the super-tile's lines by, of sides with long or absent ones (see <see cref="CpuSimilaritySide.Factors"/>).</summary>
    public static void FindFactors(CpuSimilarityState* s, WorkerPool workers)
    {
        if (s->Rows.HasLong || s->Rows.HasAbsent)
        {
            Factors(s, ofRows: true, s->TileRows, workers);
        }

        if (s->Columns.HasLong || s->Columns.HasAbsent)
        {
            Factors(s, ofRows: false, s->TileColumns, workers);
        }
    }

    /// <summary>The power of two that a normalised row is multiplied by as products read it, for all prefixes alike: 1 unless it is so long that products with it, or
    /// with its norm's reciprocal, could leave float32's range. A row that is not finite stays what it is.</summary>
    /// <param name="squares">The sum of its squares over the whole width.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float FactorOf(double squares) =>
        squares >= MathF.ScaleB(1, 2 * MaxExponent) && double.IsFinite(squares) ? MathF.ScaleB(1, MaxExponent - 1 - Math.ILogB(Math.Sqrt(squares))) : 1;

    private static bool Norms(CpuSimilarityState* s, void* source, int count, float* rstd, WorkerPool workers)
    {
        NormState state = new() { Partition = new RowPartition(count, MinRowsPerPartition), Source = source, E = s->E, Width = s->Width, Rstd = rstd };
        workers.Run(state.Partition.Count, SimdKernel.For<NormKernel>(s->DType, s->Round), &state);
        return state.HasLong;
    }

    private static void Factors(CpuSimilarityState* s, bool ofRows, int count, WorkerPool workers)
    {
        FactorState state = new() { Partition = new RowPartition(count, MinRowsPerPartition), State = s, OfRows = ofRows };
        workers.Run(state.Partition.Count, SimdKernel.For<FactorKernel>(s->DType, s->Round), &state);
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

        for (int j = 0; s->Columns.PositiveCount != null && j < s->Columns.Count; j++)
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

        // Set by whoever meets a long row, to the same.
        public bool HasLong;
    }

    private struct FactorState
    {
        public RowPartition Partition;
        public CpuSimilarityState* State;
        public bool OfRows;
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
                long at = (long)row * s->E;
                double squares = CpuSimilarityLines.Dot<TElement, TElement>(s->Source, at, s->Source, at, s->Width);
                float factor = FactorOf(s->Width == s->E ? squares : CpuSimilarityLines.Dot<TElement, TElement>(s->Source, at, s->Source, at, s->E));
                if (factor != 1)
                {
                    s->HasLong = true;
                }

                s->Rstd[row] = (float)Math.Min(1 / (Math.Max(Math.Sqrt(squares), NormEpsilon) * factor), float.MaxValue);
            }
        }
    }

    private readonly struct FactorKernel : ISimdKernel
    {
        public static void Run<TVector, TElement>(int task, void* state)
            where TVector : unmanaged, ISimdFloat<TVector>
            where TElement : unmanaged, ISimdElement
        {
            FactorState* f = (FactorState*)state;
            CpuSimilarityState* s = f->State;
            ref CpuSimilaritySide side = ref f->OfRows ? ref s->Rows : ref s->Columns;
            int first = f->OfRows ? s->FirstRow : s->FirstColumn;
            void* source = f->OfRows ? s->Captions : s->Images;
            for (int row = f->Partition.Start(task); row < f->Partition.Start(task + 1); row++)
            {
                bool isAbsent = side.HasAbsent && (f->OfRows ? s->IsAbsentRow(first + row) : s->IsAbsentColumn(first + row));
                long at = (long)row * s->E;
                side.Factors[row] = isAbsent ? 0 : side.HasLong ? FactorOf(CpuSimilarityLines.Dot<TElement, TElement>(source, at, source, at, s->E)) : 1;
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
                    long caption = (long)row * s->E;
                    long image = (long)(target - d->Block.ColumnOffset) * s->E;
                    double similarity = CpuSimilarityLines.Dot<TElement, TElement>(d->Block.Captions, caption, d->Block.Images, image, s->Width);
                    similarity *= s->Rows.Rstd == null ? 1 : (double)s->Rows.Rstd[globalRow] * s->Columns.Rstd[target];
                    similarity *= s->Rows.HasLong ? FactorOf(CpuSimilarityLines.Dot<TElement, TElement>(d->Block.Captions, caption, d->Block.Captions, caption, s->E)) : 1;
                    similarity *= s->Columns.HasLong ? FactorOf(CpuSimilarityLines.Dot<TElement, TElement>(d->Block.Images, image, d->Block.Images, image, s->E)) : 1;
                    double slack = Slack * (s->Rows.Rstd == null ? Math.Abs(similarity) : 1);
                    s->Rows.Threshold[globalRow] = (float)((similarity + s->Margin + slack) * Math.Abs(s->Scale));
                }
            }
        }
    }
}
