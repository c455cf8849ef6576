using System.Runtime.CompilerServices;
using CrossAlign.Kernels.Cpu.Simd;
using CrossAlign.Runtime;

namespace CrossAlign.Kernels.Cpu;

/// <summary>The residual connection on the CPU.</summary>
internal static unsafe class CpuResidual
{
    public static void Add(in Tensor x, in Tensor y, in Tensor output)
    {
        State state = new()
        {
            Partition = new ElementPartition(x.Count),
            X = (void*)x.Address,
            Y = (void*)y.Address,
            Output = (void*)output.Address,
        };
        ((CpuDevice)x.Device).Workers.Run(state.Partition.Count, SimdKernel.For<AddKernel>(x.DType), &state);
    }

    private struct State
    {
        public ElementPartition Partition;
        public void* X;
        public void* Y;
        public void* Output;
    }

    private readonly struct AddKernel : ISimdKernel
    {
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public static void Run<TVector, TElement>(int task, void* state)
            where TVector : unmanaged, ISimdFloat<TVector>
            where TElement : unmanaged, ISimdElement
        {
            State* s = (State*)state;
            void* x = s->X;
            void* y = s->Y;
            void* output = s->Output;
            long end = s->Partition.Start(task + 1);
            long i = s->Partition.Start(task);
            for (; i <= end - TVector.Count; i += TVector.Count)
            {
                TElement.Store(TElement.Load<TVector>(x, i) + TElement.Load<TVector>(y, i), output, i);
            }

            if (i < end)
            {
                int tail = (int)(end - i);
                TElement.StorePartial(TElement.LoadPartial<TVector>(x, i, tail) + TElement.LoadPartial<TVector>(y, i, tail), output, i, tail);
            }
        }
    }
}
