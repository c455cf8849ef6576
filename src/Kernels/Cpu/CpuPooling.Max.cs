using System.Runtime.CompilerServices;
using CrossAlign.Kernels.Cpu.Simd;

namespace CrossAlign.Kernels.Cpu;

/// <content>Maxima over the tokens of a sequence, as many columns at once as a register has lanes.</content>
internal static unsafe partial class CpuPooling
{
    private const int MostLanes = 16;

    // Places are compared and kept as floats: whole numbers up to 2^24 are exact. A longer sequence goes in pieces of that many tokens.
    private const int MostPlaces = 1 << 24;

    // 1 for a number, 0 for NaN.
    private static TVector IsNumber<TVector>(TVector x)
        where TVector : unmanaged, ISimdFloat<TVector>
    {
        TVector one = TVector.Broadcast(1);
        return TVector.SelectLess(x, TVector.Broadcast(float.PositiveInfinity), one, TVector.SelectLess(TVector.Zero, x, one, TVector.Zero));
    }

    private readonly struct MaxForwardKernel<TPooled> : ISimdKernel
        where TPooled : unmanaged, ISimdElement
    {
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public static void Run<TVector, TElement>(int task, void* state)
            where TVector : unmanaged, ISimdFloat<TVector>
            where TElement : unmanaged, ISimdElement
        {
            State* s = (State*)state;
            int c = s->C;
            float* places = stackalloc float[MostLanes];
            int* rows = stackalloc int[MostLanes];
            for (int sequence = s->Partition.Start(task); sequence < s->Partition.Start(task + 1); sequence++)
            {
                int start = s->CuSeqlens[sequence];
                int end = s->CuSeqlens[sequence + 1];
                long output = (long)sequence * c;
                for (int i = 0; i < c; i += TVector.Count)
                {
                    int lanes = Math.Min(TVector.Count, c - i);
                    TVector best = start < end ? TElement.LoadPartial<TVector>(s->Tokens, ((long)start * c) + i, lanes) : TVector.Zero;
                    TVector number = IsNumber(best);
                    new Span<int>(rows, lanes).Fill(start < end ? start : -1);
                    for (int piece = start; piece < end; piece += Math.Min(MostPlaces, end - piece))
                    {
                        // Of this piece; -1 for none.
                        TVector place = TVector.Broadcast(-1);
                        int pieceEnd = piece + Math.Min(MostPlaces, end - piece);
                        for (int row = piece; row < pieceEnd; row++)
                        {
                            TVector x = TElement.LoadPartial<TVector>(s->Tokens, ((long)row * c) + i, lanes);
                            TVector isNumber = IsNumber(x);
                            TVector here = TVector.Broadcast(row - piece);

                            // The first NaN wins and stays: nothing is more than it, and no later one is less of a number.
                            place = TVector.SelectLess(isNumber, number, here, TVector.SelectLess(best, x, here, place));
                            best = TVector.SelectLess(isNumber, number, x, TVector.SelectLess(best, x, x, best));
                            number = TVector.Min(number, isNumber);
                        }

                        TVector.StorePartial(place, places, lanes);
                        for (int lane = 0; lane < lanes; lane++)
                        {
                            rows[lane] = places[lane] < 0 ? rows[lane] : piece + (int)places[lane];
                        }
                    }

                    TPooled.StorePartial(best, s->Pooled, output + i, lanes);
                    if (s->Chosen is not null)
                    {
                        new ReadOnlySpan<int>(rows, lanes).CopyTo(new Span<int>(s->Chosen + output + i, lanes));
                    }
                }
            }
        }
    }

    private readonly struct MaxBackwardKernel<TPooled> : ISimdKernel
        where TPooled : unmanaged, ISimdElement
    {
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public static void Run<TVector, TElement>(int task, void* state)
            where TVector : unmanaged, ISimdFloat<TVector>
            where TElement : unmanaged, ISimdElement
        {
            State* s = (State*)state;
            int c = s->C;
            long rowByteCount = (long)c * TElement.ByteSize;
            for (int sequence = s->Partition.Start(task); sequence < s->Partition.Start(task + 1); sequence++)
            {
                int start = s->CuSeqlens[sequence];
                int end = s->CuSeqlens[sequence + 1];
                for (int row = start; row < end; row++)
                {
                    Unsafe.InitBlockUnaligned((byte*)s->Tokens + (row * rowByteCount), 0, (uint)rowByteCount);
                }

                for (int i = 0; i < c; i++)
                {
                    long at = ((long)sequence * c) + i;
                    int row = s->Chosen[at];
                    if (row >= start && row < end)
                    {
                        TElement.Store(TPooled.Load<FloatScalar>(s->Pooled, at), s->Tokens, ((long)row * c) + i);
                    }
                }
            }
        }
    }
}
