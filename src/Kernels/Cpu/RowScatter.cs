using System.Runtime.CompilerServices;
using CrossAlign.Kernels.Cpu.Simd;
using CrossAlign.Runtime;

namespace CrossAlign.Kernels.Cpu;

/// <summary>
/// Sums the rows of a matrix that carry the same number: the scatter-add behind the gradients of embeddings. A stable radix sort of
/// the numbers puts equal ones side by side in the rows' order; runs are cut into pieces of at most <see cref="PieceRows"/> rows,
/// summed in parallel, and the pieces of a long run are added in order. No atomics; the order depends on the numbers alone.
/// </summary>
internal static unsafe class RowScatter
{
    private const int PieceRows = 32;
    private const int RadixBits = 11;
    private const int RadixSize = 1 << RadixBits;

    /// <summary>Refuses numbers that name no row.</summary>
    /// <exception cref="ArgumentOutOfRangeException">A number is negative or too large; the message says which.</exception>
    public static void CheckRange(in Tensor numbers, int rows, string name)
    {
        int* values = numbers.Pointer<int>();
        int count = numbers.Shape[0];
        for (int i = 0; i < count; i++)
        {
            if ((uint)values[i] >= (uint)rows)
            {
                throw new ArgumentOutOfRangeException(name, values[i], $"{name}[{i}] names no row of a table of {rows}.");
            }
        }
    }

    /// <summary>Adds (+=) each row of <paramref name="rows"/> to the row of <paramref name="table"/> that its number names.</summary>
    /// <param name="rows">(N, C).</param>
    /// <param name="numbers">(N), int32, in range; absent: all zero.</param>
    /// <param name="table">(V, C), float32.</param>
    public static void Add(in Tensor rows, in Tensor numbers, in Tensor table)
    {
        State state = Prepare(rows, numbers, table.Shape[0]);
        state.Table = table.Pointer<float>();
        state.Accumulate = true;
        Run((CpuDevice)rows.Device, rows.DType, &state);
    }

    /// <summary>Overwrites <paramref name="rowIds"/> with the different numbers, ascending, and <paramref name="values"/> with their sums.</summary>
    /// <returns>How many different numbers there are.</returns>
    public static int Collect(in Tensor rows, in Tensor numbers, int vocabulary, in Tensor rowIds, in Tensor values)
    {
        State state = Prepare(rows, numbers, vocabulary);
        int* ids = rowIds.Pointer<int>();
        for (int i = 0; i < state.PieceCount; i++)
        {
            // From here on a run is known by its place among the different numbers.
            Piece* piece = state.Pieces + i;
            ids[piece->Run] = piece->Number;
            piece->Number = piece->Run;
        }

        state.Table = values.Pointer<float>();
        Run((CpuDevice)rows.Device, rows.DType, &state);
        return state.RunCount;
    }

    private static State Prepare(in Tensor rows, in Tensor numbers, int vocabulary)
    {
        CpuDevice device = (CpuDevice)rows.Device;
        int n = rows.Shape[0];
        int c = rows.Shape[1];
        int width = (c + 15) / 16 * 16;

        // A run of k rows has ceil(k / PieceRows) pieces, and needs room for their sums if there are several.
        long pieceCapacity = n + 1L;
        long sumCapacity = (2L * n / PieceRows) + 1;
        long sumsAt = 0;
        long piecesAt = sumsAt + (sumCapacity * width * sizeof(float));
        long numbersAt = piecesAt + (pieceCapacity * sizeof(Piece));
        long orderAt = numbersAt + (2L * n * sizeof(int));
        long histogramAt = orderAt + (2L * n * sizeof(int));
        byte* scratch = (byte*)device.Scratch(histogramAt + (RadixSize * sizeof(int)));
        State state = new()
        {
            C = c,
            Width = width,
            Rows = (void*)rows.Address,
            Sums = (float*)(scratch + sumsAt),
            Pieces = (Piece*)(scratch + piecesAt),
            Order = (int*)(scratch + orderAt),
        };

        int* sorted = null;
        if (numbers.IsPresent)
        {
            sorted = (int*)(scratch + numbersAt);
            Sort(numbers.Pointer<int>(), n, vocabulary, ref sorted, ref state.Order, (int*)(scratch + histogramAt));
        }
        else
        {
            state.Order = null;
        }

        int sums = 0;
        for (int start = 0; start < n;)
        {
            int end = n;
            if (sorted != null)
            {
                end = start + 1;
                while (end < n && sorted[end] == sorted[start])
                {
                    end++;
                }
            }

            int pieces = (end - start + PieceRows - 1) / PieceRows;
            for (int p = 0; p < pieces; p++)
            {
                int first = start + (p * PieceRows);
                state.Pieces[state.PieceCount++] = new Piece
                {
                    Start = first,
                    Count = Math.Min(PieceRows, end - first),
                    Number = sorted == null ? 0 : sorted[start],
                    Run = state.RunCount,
                    Sum = pieces == 1 ? -1 : sums++,
                    PiecesOfRun = p == 0 ? pieces : 0,
                };
            }

            state.RunCount++;
            start = end;
        }

        return state;
    }

    private static void Run(CpuDevice device, DType dtype, State* state)
    {
        state->Partition = new RowPartition(state->PieceCount, Math.Max(1, 4096 / Math.Max(state->C, 1)), 64);
        device.Workers.Run(state->Partition.Count, SimdKernel.For<SumKernel>(dtype), state);
        device.Workers.Run(state->Partition.Count, SimdKernel.For<MergeKernel>(DType.Float32), state);
    }

    /// <summary>Least significant digit first: stable, so equal numbers keep the order of their rows.</summary>
    private static void Sort(int* numbers, int n, int vocabulary, ref int* sorted, ref int* order, int* histogram)
    {
        int* keys = numbers;
        int* places = null;
        int* nextKeys = sorted;
        int* nextPlaces = order;
        int* otherKeys = sorted + n;
        int* otherPlaces = order + n;
        for (int shift = 0; shift == 0 || (vocabulary - 1L) >> shift > 0; shift += RadixBits)
        {
            new Span<int>(histogram, RadixSize).Clear();
            for (int i = 0; i < n; i++)
            {
                histogram[(keys[i] >> shift) & (RadixSize - 1)]++;
            }

            int sum = 0;
            for (int d = 0; d < RadixSize; d++)
            {
                int count = histogram[d];
                histogram[d] = sum;
                sum += count;
            }

            for (int i = 0; i < n; i++)
            {
                int at = histogram[(keys[i] >> shift) & (RadixSize - 1)]++;
                nextKeys[at] = keys[i];
                nextPlaces[at] = places == null ? i : places[i];
            }

            keys = nextKeys;
            places = nextPlaces;
            nextKeys = otherKeys;
            nextPlaces = otherPlaces;
            otherKeys = keys;
            otherPlaces = places;
        }

        sorted = keys;
        order = places;
    }

    private struct Piece
    {
        public int Start;
        public int Count;
        public int Number;
        public int Run;
        public int Sum;
        public int PiecesOfRun;
    }

    private struct State
    {
        public RowPartition Partition;
        public int C;
        public int Width;
        public int PieceCount;
        public int RunCount;
        public bool Accumulate;
        public void* Rows;
        public float* Table;
        public float* Sums;
        public Piece* Pieces;
        public int* Order;
    }

    private readonly struct SumKernel : ISimdKernel
    {
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public static void Run<TVector, TElement>(int task, void* state)
            where TVector : unmanaged, ISimdFloat<TVector>
            where TElement : unmanaged, ISimdElement
        {
            State* s = (State*)state;
            int c = s->C;
            for (int p = s->Partition.Start(task); p < s->Partition.Start(task + 1); p++)
            {
                Piece piece = s->Pieces[p];
                float* destination = piece.Sum < 0 ? s->Table + ((long)piece.Number * c) : s->Sums + ((long)piece.Sum * s->Width);
                bool accumulate = piece.Sum < 0 && s->Accumulate;
                for (int i = 0; i < c; i += TVector.Count)
                {
                    int lanes = Math.Min(TVector.Count, c - i);
                    TVector sum = TVector.Zero;
                    if (lanes == TVector.Count)
                    {
                        for (int r = piece.Start; r < piece.Start + piece.Count; r++)
                        {
                            sum += TElement.Load<TVector>(s->Rows, ((long)(s->Order == null ? r : s->Order[r]) * c) + i);
                        }

                        TVector.Store(accumulate ? TVector.Load(destination + i) + sum : sum, destination + i);
                    }
                    else
                    {
                        for (int r = piece.Start; r < piece.Start + piece.Count; r++)
                        {
                            sum += TElement.LoadPartial<TVector>(s->Rows, ((long)(s->Order == null ? r : s->Order[r]) * c) + i, lanes);
                        }

                        TVector.StorePartial(
                            accumulate ? TVector.LoadPartial(destination + i, lanes) + sum : sum, destination + i, lanes);
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
            State* s = (State*)state;
            int c = s->C;
            for (int p = s->Partition.Start(task); p < s->Partition.Start(task + 1); p++)
            {
                Piece piece = s->Pieces[p];
                if (piece.PiecesOfRun <= 1)
                {
                    continue;
                }

                float* destination = s->Table + ((long)piece.Number * c);
                for (int i = 0; i < c; i += TVector.Count)
                {
                    int lanes = Math.Min(TVector.Count, c - i);
                    TVector high = TVector.Zero;
                    TVector low = TVector.Zero;
                    for (int k = 0; k < piece.PiecesOfRun; k++)
                    {
                        SimdMath.Accumulate(TVector.LoadPartial(s->Sums + ((long)(piece.Sum + k) * s->Width) + i, lanes), ref high, ref low);
                    }

                    TVector sum = high + low;
                    if (s->Accumulate)
                    {
                        sum += TVector.LoadPartial(destination + i, lanes);
                    }

                    TVector.StorePartial(sum, destination + i, lanes);
                }
            }
        }
    }
}
