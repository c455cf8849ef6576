using System.Runtime.CompilerServices;
using CrossAlign.Kernels.Cpu.Simd;
using CrossAlign.Runtime;

namespace CrossAlign.Kernels.Cpu;

/// <summary>Pooling on the CPU: sequences are shared out; each is summed by one task, blocks of tokens carried into two-float sums.</summary>
internal static unsafe partial class CpuPooling
{
    private const int BlockRows = 32;
    private const int MinSequencesPerPartition = 4;

    public static void Forward(PoolingKind kind, in Tensor input, in Tensor cuSeqlens, in Tensor output, in Tensor chosen)
    {
        Check.SequencesEndAt(cuSeqlens, input.Shape[0]);
        bool isFloat = output.DType == DType.Float32;
        delegate*<int, void*, void> body = (kind == PoolingKind.Max, isFloat) switch
        {
            (false, true) => SimdKernel.For<ForwardKernel<Float32Element>>(input.DType),
            (false, false) => SimdKernel.For<ForwardKernel<BFloat16Element>>(input.DType),
            (true, true) => SimdKernel.For<MaxForwardKernel<Float32Element>>(input.DType),
            (true, false) => SimdKernel.For<MaxForwardKernel<BFloat16Element>>(input.DType),
        };
        Run(kind, input, cuSeqlens, output, chosen, body);
    }

    public static void Backward(PoolingKind kind, in Tensor dOutput, in Tensor cuSeqlens, in Tensor dInput, in Tensor chosen)
    {
        Check.SequencesEndAt(cuSeqlens, dInput.Shape[0]);
        bool isFloat = dOutput.DType == DType.Float32;
        delegate*<int, void*, void> body = (kind == PoolingKind.Max, isFloat) switch
        {
            (false, true) => SimdKernel.For<BackwardKernel<Float32Element>>(dInput.DType),
            (false, false) => SimdKernel.For<BackwardKernel<BFloat16Element>>(dInput.DType),
            (true, true) => SimdKernel.For<MaxBackwardKernel<Float32Element>>(dInput.DType),
            (true, false) => SimdKernel.For<MaxBackwardKernel<BFloat16Element>>(dInput.DType),
        };
        Run(kind, dInput, cuSeqlens, dOutput, chosen, body);
    }

    private static void Run(
        PoolingKind kind, in Tensor tokens, in Tensor cuSeqlens, in Tensor pooled, in Tensor chosen, delegate*<int, void*, void> body)
    {
        CpuDevice device = (CpuDevice)tokens.Device;
        State state = new()
        {
            Kind = kind,
            Partition = new RowPartition(pooled.Shape[0], MinSequencesPerPartition),
            C = tokens.Shape[1],
            Tokens = (void*)tokens.Address,
            CuSeqlens = cuSeqlens.Pointer<int>(),
            Pooled = (void*)pooled.Address,
            Chosen = chosen.IsPresent ? chosen.Pointer<int>() : null,
        };
        device.Workers.Run(state.Partition.Count, body, &state);
    }

    // What the sum of a sequence is divided by.
    private static float Divisor(PoolingKind kind, int length) => kind switch
    {
        PoolingKind.MeanSqrtLength => MathF.Sqrt(Math.Max(length, 1)),
        PoolingKind.WeightedMean => Math.Max((long)length * (length + 1L) / 2, 1),
        _ => Math.Max(length, 1),
    };

    private static void CopyRow<TVector, TFrom, TTo>(void* source, int sourceRow, void* destination, int destinationRow, int c)
        where TVector : unmanaged, ISimdFloat<TVector>
        where TFrom : unmanaged, ISimdElement
        where TTo : unmanaged, ISimdElement
    {
        long from = (long)sourceRow * c;
        long to = (long)destinationRow * c;
        int whole = c - (c % TVector.Count);
        for (int i = 0; i < whole; i += TVector.Count)
        {
            TTo.Store(TFrom.Load<TVector>(source, from + i), destination, to + i);
        }

        if (whole < c)
        {
            TTo.StorePartial(TFrom.LoadPartial<TVector>(source, from + whole, c - whole), destination, to + whole, c - whole);
        }
    }

    private struct State
    {
        public PoolingKind Kind;
        public RowPartition Partition;
        public int C;
        public void* Tokens;
        public int* CuSeqlens;
        public void* Pooled;
        public int* Chosen;
    }

    // sum + x, or sum + weight x.
    private static TVector Add<TVector>(TVector sum, TVector x, bool isWeighted, int weight)
        where TVector : unmanaged, ISimdFloat<TVector> =>
        isWeighted ? TVector.MultiplyAdd(TVector.Broadcast(weight), x, sum) : sum + x;

    private readonly struct ForwardKernel<TPooled> : ISimdKernel
        where TPooled : unmanaged, ISimdElement
    {
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public static void Run<TVector, TElement>(int task, void* state)
            where TVector : unmanaged, ISimdFloat<TVector>
            where TElement : unmanaged, ISimdElement
        {
            State* s = (State*)state;
            int c = s->C;
            for (int sequence = s->Partition.Start(task); sequence < s->Partition.Start(task + 1); sequence++)
            {
                int start = s->CuSeqlens[sequence];
                int end = s->CuSeqlens[sequence + 1];
                if (s->Kind is PoolingKind.Cls or PoolingKind.Eos && end > start)
                {
                    int row = s->Kind == PoolingKind.Cls ? start : end - 1;
                    CopyRow<TVector, TElement, TPooled>(s->Tokens, row, s->Pooled, sequence, c);
                    continue;
                }

                long output = (long)sequence * c;
                bool isWeighted = s->Kind == PoolingKind.WeightedMean;
                TVector divisor = TVector.Broadcast(Divisor(s->Kind, end - start));
                for (int i = 0; i < c; i += TVector.Count)
                {
                    int lanes = Math.Min(TVector.Count, c - i);
                    TVector high = TVector.Zero;
                    TVector low = TVector.Zero;
                    for (int block = start; block < end; block += BlockRows)
                    {
                        int blockEnd = Math.Min(block + BlockRows, end);
                        TVector sum = TVector.Zero;
                        if (lanes == TVector.Count)
                        {
                            for (int row = block; row < blockEnd; row++)
                            {
                                sum = Add(sum, TElement.Load<TVector>(s->Tokens, ((long)row * c) + i), isWeighted, row - start + 1);
                            }
                        }
                        else
                        {
                            for (int row = block; row < blockEnd; row++)
                            {
                                sum = Add(sum, TElement.LoadPartial<TVector>(s->Tokens, ((long)row * c) + i, lanes), isWeighted, row - start + 1);
                            }
                        }

                        SimdMath.Accumulate(sum, ref high, ref low);
                    }

                    TVector mean = (high + low) / divisor;
                    if (lanes == TVector.Count)
                    {
                        TPooled.Store(mean, s->Pooled, output + i);
                    }
                    else
                    {
                        TPooled.StorePartial(mean, s->Pooled, output + i, lanes);
                    }
                }
            }
        }
    }

    private readonly struct BackwardKernel<TPooled> : ISimdKernel
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
                if (end == start)
                {
                    continue;
                }

                long dOutput = (long)sequence * c;
                if (s->Kind is PoolingKind.Cls or PoolingKind.Eos)
                {
                    int chosen = s->Kind == PoolingKind.Cls ? start : end - 1;
                    for (int row = start; row < end; row++)
                    {
                        if (row == chosen)
                        {
                            CopyRow<TVector, TPooled, TElement>(s->Pooled, sequence, s->Tokens, row, c);
                        }
                        else
                        {
                            Unsafe.InitBlockUnaligned((byte*)s->Tokens + (row * rowByteCount), 0, (uint)rowByteCount);
                        }
                    }

                    continue;
                }

                bool isWeighted = s->Kind == PoolingKind.WeightedMean;
                TVector divisor = TVector.Broadcast(Divisor(s->Kind, end - start));
                for (int i = 0; i < c; i += TVector.Count)
                {
                    int lanes = Math.Min(TVector.Count, c - i);
                    if (lanes == TVector.Count)
                    {
                        TVector share = TPooled.Load<TVector>(s->Pooled, dOutput + i) / divisor;
                        for (int row = start; row < end; row++)
                        {
                            TElement.Store(isWeighted ? share * TVector.Broadcast(row - start + 1) : share, s->Tokens, ((long)row * c) + i);
                        }
                    }
                    else
                    {
                        TVector share = TPooled.LoadPartial<TVector>(s->Pooled, dOutput + i, lanes) / divisor;
                        for (int row = start; row < end; row++)
                        {
                            TElement.StorePartial(isWeighted ? share * TVector.Broadcast(row - start + 1) : share, s->Tokens, ((long)row * c) + i, lanes);
                        }
                    }
                }
            }
        }
    }
}
