using System.Runtime.CompilerServices;
using CrossAlign.Kernels.Cpu.Simd;
using CrossAlign.Runtime;

namespace CrossAlign.Kernels.Cpu;

/// <summary>GELU on the CPU: one exponential an element, forward or backward; the bias's gradient in ordered sums.</summary>
internal static unsafe class CpuGelu
{
    // About 10 microseconds of work, several times what handing out a task costs.
    private const int MinElementsPerPartition = 8192;

    public static void Forward(GeluKind kind, in Tensor input, in Tensor bias, in Tensor output)
    {
        CpuDevice device = (CpuDevice)input.Device;
        State state = new()
        {
            Partition = new RowPartition(input.Shape[0], MinRows(input.Shape[1])),
            C = input.Shape[1],
            Input = (void*)input.Address,
            Bias = bias.IsPresent ? bias.Pointer<float>() : null,
            Output = (void*)output.Address,
        };
        delegate*<int, void*, void> body = kind switch
        {
            GeluKind.Erf => SimdKernel.For<ForwardKernel<ErfForm>>(input.DType),
            GeluKind.Tanh => SimdKernel.For<ForwardKernel<TanhForm>>(input.DType),
            _ => SimdKernel.For<ForwardKernel<QuickForm>>(input.DType),
        };
        device.Workers.Run(state.Partition.Count, body, &state);
    }

    public static void Backward(GeluKind kind, in Tensor dOutput, in Tensor input, in Tensor bias, in Tensor dInput, in Tensor dBias)
    {
        CpuDevice device = (CpuDevice)input.Device;
        int c = input.Shape[1];
        RowPartition partition = new(input.Shape[0], MinRows(c));
        State state = new()
        {
            Partition = partition,
            C = c,
            DOutput = (void*)dOutput.Address,
            Input = (void*)input.Address,
            Bias = bias.IsPresent ? bias.Pointer<float>() : null,
            Output = (void*)dInput.Address,
            Sums = dBias.IsPresent ? (float*)device.Scratch(partition.Count * ColumnSums.AreaLength(c) * sizeof(float)) : null,
        };
        delegate*<int, void*, void> body = kind switch
        {
            GeluKind.Erf => SimdKernel.For<BackwardKernel<ErfForm>>(input.DType),
            GeluKind.Tanh => SimdKernel.For<BackwardKernel<TanhForm>>(input.DType),
            _ => SimdKernel.For<BackwardKernel<QuickForm>>(input.DType),
        };
        device.Workers.Run(partition.Count, body, &state);
        if (dBias.IsPresent)
        {
            ColumnSums.Merge(device, state.Sums, partition.Count, c, dBias.Pointer<float>());
        }
    }

    private static int MinRows(int columns) => Math.Max(1, MinElementsPerPartition / Math.Max(columns, 1));

    /// <summary>A form of the unit: its value and its derivative.</summary>
    private interface IForm
    {
        static abstract TVector Value<TVector>(TVector x)
            where TVector : unmanaged, ISimdFloat<TVector>;

        static abstract TVector Slope<TVector>(TVector x)
            where TVector : unmanaged, ISimdFloat<TVector>;
    }

    private struct State
    {
        public RowPartition Partition;
        public int C;
        public void* DOutput;
        public void* Input;
        public float* Bias;
        public void* Output;
        public float* Sums;
    }

    private readonly struct ErfForm : IForm
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static TVector Value<TVector>(TVector x)
            where TVector : unmanaged, ISimdFloat<TVector> => x * SimdMath.NormalCdf(x, Bell(x));

        // Phi(x) + x phi(x), with phi(x) = e^(-x^2/2) / sqrt(2 pi): the same exponential serves both.
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static TVector Slope<TVector>(TVector x)
            where TVector : unmanaged, ISimdFloat<TVector>
        {
            TVector bell = Bell(x);
            return TVector.MultiplyAdd(x * TVector.Broadcast(0.39894228f), bell, SimdMath.NormalCdf(x, bell));
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static TVector Bell<TVector>(TVector x)
            where TVector : unmanaged, ISimdFloat<TVector> => SimdMath.ExpNonPositive(x * x * TVector.Broadcast(-0.5f));
    }

    private readonly struct TanhForm : IForm
    {
        // (1 + tanh(u)) / 2 = sigmoid(2 u); 2 u = Linear x + Cubic x^3.
        private const float Linear = 1.5957691f;
        private const float Cubic = 0.071354814f;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static TVector Value<TVector>(TVector x)
            where TVector : unmanaged, ISimdFloat<TVector> => x * SimdMath.Sigmoid(Argument(x));

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static TVector Slope<TVector>(TVector x)
            where TVector : unmanaged, ISimdFloat<TVector>
        {
            TVector inner = TVector.MultiplyAdd(x * x, TVector.Broadcast(3 * Cubic), TVector.Broadcast(Linear));
            return SlopeOfProduct(x, Argument(x), inner);
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static TVector Argument<TVector>(TVector x)
            where TVector : unmanaged, ISimdFloat<TVector> =>
            x * TVector.MultiplyAdd(x * x, TVector.Broadcast(Cubic), TVector.Broadcast(Linear));
    }

    private readonly struct QuickForm : IForm
    {
        private const float Linear = 1.702f;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static TVector Value<TVector>(TVector x)
            where TVector : unmanaged, ISimdFloat<TVector> => x * SimdMath.Sigmoid(x * TVector.Broadcast(Linear));

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static TVector Slope<TVector>(TVector x)
            where TVector : unmanaged, ISimdFloat<TVector> =>
            SlopeOfProduct(x, x * TVector.Broadcast(Linear), TVector.Broadcast(Linear));
    }

    /// <summary>The derivative of <c>x sigmoid(v(x))</c>: <c>s + x s (1 - s) v'</c>, with 1 - s taken from the other tail.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static TVector SlopeOfProduct<TVector>(TVector x, TVector v, TVector dv)
        where TVector : unmanaged, ISimdFloat<TVector>
    {
        TVector one = TVector.Broadcast(1f);
        TVector e = SimdMath.ExpNonPositive(TVector.Zero - TVector.Abs(v));
        TVector large = one / (one + e);
        TVector small = e * large;
        TVector s = TVector.SelectLess(v, TVector.Zero, small, large);

        return TVector.MultiplyAdd(x * (large * small), dv, s);
    }

    private readonly struct ForwardKernel<TForm> : ISimdKernel
        where TForm : IForm
    {
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public static void Run<TVector, TElement>(int task, void* state)
            where TVector : unmanaged, ISimdFloat<TVector>
            where TElement : unmanaged, ISimdElement
        {
            State* s = (State*)state;
            int c = s->C;
            float* bias = s->Bias;
            void* input = s->Input;
            void* output = s->Output;
            int whole = c - (c % TVector.Count);
            for (int row = s->Partition.Start(task); row < s->Partition.Start(task + 1); row++)
            {
                long offset = (long)row * c;
                for (int i = 0; i < whole; i += TVector.Count)
                {
                    TVector x = TElement.Load<TVector>(input, offset + i);
                    if (bias != null)
                    {
                        x += TVector.Load(bias + i);
                    }

                    TElement.Store(TForm.Value(x), output, offset + i);
                }

                if (whole < c)
                {
                    TVector x = TElement.LoadPartial<TVector>(input, offset + whole, c - whole);
                    if (bias != null)
                    {
                        x += TVector.LoadPartial(bias + whole, c - whole);
                    }

                    TElement.StorePartial(TForm.Value(x), output, offset + whole, c - whole);
                }
            }
        }
    }

    private readonly struct BackwardKernel<TForm> : ISimdKernel
        where TForm : IForm
    {
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public static void Run<TVector, TElement>(int task, void* state)
            where TVector : unmanaged, ISimdFloat<TVector>
            where TElement : unmanaged, ISimdElement
        {
            State* s = (State*)state;
            int c = s->C;
            float* bias = s->Bias;
            void* input = s->Input;
            void* dOutput = s->DOutput;
            void* dInput = s->Output;
            float* sums = s->Sums == null ? null : s->Sums + (task * ColumnSums.AreaLength(c));
            if (sums != null)
            {
                ColumnSums.Clear(sums, c);
            }

            int whole = c - (c % TVector.Count);
            int rowsInBlock = 0;
            for (int row = s->Partition.Start(task); row < s->Partition.Start(task + 1); row++)
            {
                long offset = (long)row * c;
                for (int i = 0; i < whole; i += TVector.Count)
                {
                    TVector x = TElement.Load<TVector>(input, offset + i);
                    if (bias != null)
                    {
                        x += TVector.Load(bias + i);
                    }

                    TVector dx = TElement.Load<TVector>(dOutput, offset + i) * TForm.Slope(x);
                    TElement.Store(dx, dInput, offset + i);
                    if (sums != null)
                    {
                        TVector.Store(TVector.Load(sums + i) + dx, sums + i);
                    }
                }

                if (whole < c)
                {
                    int tail = c - whole;
                    TVector x = TElement.LoadPartial<TVector>(input, offset + whole, tail);
                    if (bias != null)
                    {
                        x += TVector.LoadPartial(bias + whole, tail);
                    }

                    TVector dx = TElement.LoadPartial<TVector>(dOutput, offset + whole, tail) * TForm.Slope(x);
                    TElement.StorePartial(dx, dInput, offset + whole, tail);
                    if (sums != null)
                    {
                        // The areas are padded to whole vectors.
                        TVector.Store(TVector.Load(sums + whole) + dx, sums + whole);
                    }
                }

                if (sums != null && ++rowsInBlock == ColumnSums.BlockRows)
                {
                    ColumnSums.Flush<TVector>(sums, c);
                    rowsInBlock = 0;
                }
            }

            if (sums != null)
            {
                ColumnSums.Flush<TVector>(sums, c);
            }
        }
    }
}
