using System.Runtime.CompilerServices;
using CrossAlign.Kernels.Cpu.Simd;
using CrossAlign.Runtime;

namespace CrossAlign.Kernels.Cpu;

/// <summary>
/// Sums over the rows of a matrix (gradients of biases), as exact as sums in double and in a fixed order: a partition adds up to
/// <see cref="BlockRows"/> rows in float, carries such blocks into sums of two floats each, and the partitions' sums are merged in
/// the partitions' order.
/// </summary>
internal static unsafe class ColumnSums
{
    /// <summary>The rows that a partition may add to a block before <see cref="Flush"/>.</summary>
    public const int BlockRows = 32;

    private const int ColumnsPerTask = 512;

    /// <summary>The floats of a partition's area: the block, the high parts and the low parts of the sums.</summary>
    /// <param name="columns">Columns of the matrix.</param>
    /// <returns>A multiple of 16, so that areas keep the alignment and need no tails.</returns>
    public static long AreaLength(int columns) => 3L * PaddedColumns(columns);

    /// <summary>Zeroes an area.</summary>
    public static void Clear(float* area, int columns) => new Span<float>(area, checked((int)AreaLength(columns))).Clear();

    /// <summary>Carries the block at the start of an area into its sums and zeroes the block.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Flush<TVector>(float* area, int columns)
        where TVector : unmanaged, ISimdFloat<TVector>
    {
        int padded = PaddedColumns(columns);
        for (int i = 0; i < padded; i += TVector.Count)
        {
            TVector high = TVector.Load(area + padded + i);
            TVector low = TVector.Load(area + (2 * padded) + i);
            SimdMath.Accumulate(TVector.Load(area + i), ref high, ref low);
            TVector.Store(high, area + padded + i);
            TVector.Store(low, area + (2 * padded) + i);
            TVector.Store(TVector.Zero, area + i);
        }
    }

    /// <summary>Adds (+=) the flushed sums of all partitions to a row.</summary>
    /// <param name="device">Whose threads work.</param>
    /// <param name="areas">The partitions' areas, one behind the other.</param>
    /// <param name="partitions">How many; with none the row stays as it is.</param>
    /// <param name="columns">Columns of the matrix.</param>
    /// <param name="destination">The row.</param>
    public static void Merge(CpuDevice device, float* areas, int partitions, int columns, float* destination)
    {
        MergeState state = new() { Areas = areas, Partitions = partitions, Columns = columns, Destination = destination };
        int tasks = partitions == 0 ? 0 : (columns + ColumnsPerTask - 1) / ColumnsPerTask;
        device.Workers.Run(tasks, SimdKernel.For<MergeKernel>(DType.Float32), &state);
    }

    private static int PaddedColumns(int columns) => checked((columns + 15) / 16 * 16);

    private struct MergeState
    {
        public float* Areas;
        public int Partitions;
        public int Columns;
        public float* Destination;
    }

    private readonly struct MergeKernel : ISimdKernel
    {
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public static void Run<TVector, TElement>(int task, void* state)
            where TVector : unmanaged, ISimdFloat<TVector>
            where TElement : unmanaged, ISimdElement
        {
            MergeState* s = (MergeState*)state;
            int padded = PaddedColumns(s->Columns);
            long stride = AreaLength(s->Columns);
            int end = Math.Min((task + 1) * ColumnsPerTask, s->Columns);
            for (int i = task * ColumnsPerTask; i < end; i += TVector.Count)
            {
                TVector high = TVector.Zero;
                TVector low = TVector.Zero;
                for (int p = 0; p < s->Partitions; p++)
                {
                    float* area = s->Areas + (p * stride);
                    SimdMath.Accumulate(TVector.Load(area + padded + i), ref high, ref low);
                    low += TVector.Load(area + (2 * padded) + i);
                }

                int count = Math.Min(TVector.Count, end - i);
                TVector before = TVector.LoadPartial(s->Destination + i, count);
                TVector.StorePartial(before + (high + low), s->Destination + i, count);
            }
        }
    }
}
