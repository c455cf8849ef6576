using System.Runtime.CompilerServices;
using CrossAlign.Kernels.Cpu.Simd;
using CrossAlign.Runtime;

namespace CrossAlign.Kernels.Cpu;

/// <summary>Row normalisation on the CPU; sums over a row in double.</summary>
internal static unsafe class CpuL2Norm
{
    private const int MinElementsPerPartition = 16384;

    public static void Forward(in Tensor input, in Tensor output, in Tensor norm)
    {
        State state = new()
        {
            Partition = Cut(input.Shape),
            E = input.Shape[1],
            Input = (void*)input.Address,
            Output = (void*)output.Address,
            Norm = norm.Pointer<float>(),
        };
        ((CpuDevice)input.Device).Workers.Run(state.Partition.Count, SimdKernel.For<ForwardKernel>(input.DType), &state);
    }

    public static void Backward(in Tensor dOutput, in Tensor output, in Tensor norm, in Tensor dInput)
    {
        State state = new()
        {
            Partition = Cut(output.Shape),
            E = output.Shape[1],
            Input = (void*)dOutput.Address,
            Normalised = (void*)output.Address,
            Output = (void*)dInput.Address,
            Norm = norm.Pointer<float>(),
        };
        ((CpuDevice)output.Device).Workers.Run(state.Partition.Count, SimdKernel.For<BackwardKernel>(output.DType), &state);
    }

    private static RowPartition Cut(Shape shape) => new(shape[0], Math.Max(1, MinElementsPerPartition / Math.Max(shape[1], 1)));

    private struct State
    {
        public RowPartition Partition;
        public int E;
        public void* Input;
        public void* Normalised;
        public void* Output;
        public float* Norm;
    }

    private readonly struct ForwardKernel : ISimdKernel
    {
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public static void Run<TVector, TElement>(int task, void* state)
            where TVector : unmanaged, ISimdFloat<TVector>
            where TElement : unmanaged, ISimdElement
        {
            State* s = (State*)state;
            int e = s->E;
            int whole = e - (e % TVector.Count);
            for (int row = s->Partition.Start(task); row < s->Partition.Start(task + 1); row++)
            {
                long offset = (long)row * e;
                double squares = 0;
                for (int i = 0; i < whole; i += TVector.Count)
                {
                    TVector x = TElement.Load<TVector>(s->Input, offset + i);
                    squares += TVector.Sum(x * x);
                }

                for (int i = whole; i < e; i++)
                {
                    double x = TElement.LoadScalar(s->Input, offset + i);
                    squares += x * x;
                }

                if (!(squares is > 1e-30 and < 1e30))
                {
                    // Squares of very small or very large numbers leave the range of floats, not that of doubles.
                    squares = 0;
                    for (int i = 0; i < e; i++)
                    {
                        double x = TElement.LoadScalar(s->Input, offset + i);
                        squares += x * x;
                    }
                }

                double norm = Math.Sqrt(squares);
                s->Norm[row] = (float)norm;

                // The reciprocal of a subnormal length is infinite as a float, so such rows divide in double.
                double inverse = squares == 0 ? 0 : 1 / norm;
                if (inverse > 1e30)
                {
                    for (int i = 0; i < e; i++)
                    {
                        TElement.StoreScalar((float)(TElement.LoadScalar(s->Input, offset + i) * inverse), s->Output, offset + i);
                    }

                    continue;
                }

                TVector factor = TVector.Broadcast((float)inverse);
                for (int i = 0; i < whole; i += TVector.Count)
                {
                    TElement.Store(TElement.Load<TVector>(s->Input, offset + i) * factor, s->Output, offset + i);
                }

                for (int i = whole; i < e; i++)
                {
                    TElement.StoreScalar(TElement.LoadScalar(s->Input, offset + i) * (float)inverse, s->Output, offset + i);
                }
            }
        }
    }

    private readonly struct BackwardKernel : ISimdKernel
    {
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public static void Run<TVector, TElement>(int task, void* state)
            where TVector : unmanaged, ISimdFloat<TVector>
            where TElement : unmanaged, ISimdElement
        {
            State* s = (State*)state;
            int e = s->E;
            int whole = e - (e % TVector.Count);
            for (int row = s->Partition.Start(task); row < s->Partition.Start(task + 1); row++)
            {
                long offset = (long)row * e;
                double dot = 0;
                for (int i = 0; i < whole; i += TVector.Count)
                {
                    dot += TVector.Sum(TElement.Load<TVector>(s->Input, offset + i) * TElement.Load<TVector>(s->Normalised, offset + i));
                }

                for (int i = whole; i < e; i++)
                {
                    dot += (double)TElement.LoadScalar(s->Input, offset + i) * TElement.LoadScalar(s->Normalised, offset + i);
                }

                float norm = s->Norm[row];
                float inverse = norm == 0 ? 0 : 1 / norm;
                TVector dots = TVector.Broadcast((float)dot);
                TVector factor = TVector.Broadcast(inverse);
                for (int i = 0; i < whole; i += TVector.Count)
                {
                    TVector dy = TElement.Load<TVector>(s->Input, offset + i);
                    TVector y = TElement.Load<TVector>(s->Normalised, offset + i);
                    TElement.Store((dy - (y * dots)) * factor, s->Output, offset + i);
                }

                for (int i = whole; i < e; i++)
                {
                    float dy = TElement.LoadScalar(s->Input, offset + i);
                    float y = TElement.LoadScalar(s->Normalised, offset + i);
                    TElement.StoreScalar((dy - (y * (float)dot)) * inverse, s->Output, offset + i);
                }
            }
        }
    }
}
