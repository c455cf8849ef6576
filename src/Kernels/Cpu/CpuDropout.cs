using System.Runtime.CompilerServices;
using CrossAlign.Kernels.Cpu.Simd;
using CrossAlign.Runtime;

namespace CrossAlign.Kernels.Cpu;

/// <summary>Dropout on the CPU; forward and backward multiply by the same factors.</summary>
internal static unsafe class CpuDropout
{
    private const int MinElementsPerPartition = 4096;

    public static void Run(in Tensor input, in Tensor output, in DropoutSite site)
    {
        if (!site.IsActive)
        {
            if (input.Address != output.Address)
            {
                CpuCast.Run(input, output);
            }

            return;
        }

        int c = input.Shape[1];
        State state = new()
        {
            Partition = new RowPartition(input.Shape[0], Math.Max(1, MinElementsPerPartition / Math.Max(c, 1))),
            C = c,
            Mask = new DropoutMask(site),
            Input = (void*)input.Address,
            Output = (void*)output.Address,
        };
        ((CpuDevice)input.Device).Workers.Run(state.Partition.Count, SimdKernel.For<Kernel>(input.DType), &state);
    }

    private struct State
    {
        public RowPartition Partition;
        public int C;
        public DropoutMask Mask;
        public void* Input;
        public void* Output;
    }

    private readonly struct Kernel : ISimdKernel
    {
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public static void Run<TVector, TElement>(int task, void* state)
            where TVector : unmanaged, ISimdFloat<TVector>
            where TElement : unmanaged, ISimdElement
        {
            State* s = (State*)state;
            int c = s->C;
            float* factors = stackalloc float[DropoutMask.ChannelsPerDraw];
            for (int row = s->Partition.Start(task); row < s->Partition.Start(task + 1); row++)
            {
                long offset = (long)row * c;
                for (int column = 0; column < c; column += DropoutMask.ChannelsPerDraw)
                {
                    s->Mask.Channels(row, column, factors);
                    int end = Math.Min(column + DropoutMask.ChannelsPerDraw, c);
                    for (int i = column; i < end; i += TVector.Count)
                    {
                        TVector f = TVector.Load(factors + i - column);
                        int lanes = Math.Min(TVector.Count, end - i);
                        if (lanes == TVector.Count)
                        {
                            TElement.Store(TElement.Load<TVector>(s->Input, offset + i) * f, s->Output, offset + i);
                        }
                        else
                        {
                            TElement.StorePartial(TElement.LoadPartial<TVector>(s->Input, offset + i, lanes) * f, s->Output, offset + i, lanes);
                        }
                    }
                }
            }
        }
    }
}
