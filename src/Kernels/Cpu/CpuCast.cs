using System.Runtime.CompilerServices;
using CrossAlign.Kernels.Cpu.Simd;
using CrossAlign.Runtime;

namespace CrossAlign.Kernels.Cpu;

/// <summary>Casts on the CPU.</summary>
internal static unsafe class CpuCast
{
    public static void Run(in Tensor input, in Tensor output)
    {
        State state = new()
        {
            Partition = new ElementPartition(input.Count),
            Input = (void*)input.Address,
            Output = (void*)output.Address,
        };
        delegate*<int, void*, void> body =
            input.DType == output.DType ? CopyBody(input.DType)
            : input.DType == DType.Float32 ? SimdKernel.For<CastKernel<Float32Element>>(output.DType)
            : SimdKernel.For<CastKernel<BFloat16Element>>(output.DType);
        ((CpuDevice)input.Device).Workers.Run(state.Partition.Count, body, &state);
    }

    // Through the float registers a NaN's bits could change; a copy is a copy.
    private static delegate*<int, void*, void> CopyBody(DType dtype) => dtype == DType.Float32 ? &Copy<float> : &Copy<ushort>;

    private static void Copy<T>(int task, void* state)
        where T : unmanaged
    {
        State* s = (State*)state;
        long start = s->Partition.Start(task);
        long byteCount = (s->Partition.Start(task + 1) - start) * sizeof(T);
        Buffer.MemoryCopy((T*)s->Input + start, (T*)s->Output + start, byteCount, byteCount);
    }

    private struct State
    {
        public ElementPartition Partition;
        public void* Input;
        public void* Output;
    }

    private readonly struct CastKernel<TInput> : ISimdKernel
        where TInput : unmanaged, ISimdElement
    {
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public static void Run<TVector, TElement>(int task, void* state)
            where TVector : unmanaged, ISimdFloat<TVector>
            where TElement : unmanaged, ISimdElement
        {
            State* s = (State*)state;
            long end = s->Partition.Start(task + 1);
            long i = s->Partition.Start(task);
            for (; i <= end - TVector.Count; i += TVector.Count)
            {
                TElement.Store(TInput.Load<TVector>(s->Input, i), s->Output, i);
            }

            if (i < end)
            {
                int tail = (int)(end - i);
                TElement.StorePartial(TInput.LoadPartial<TVector>(s->Input, i, tail), s->Output, i, tail);
            }
        }
    }
}
