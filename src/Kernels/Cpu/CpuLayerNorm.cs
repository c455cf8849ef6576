using System.Runtime.CompilerServices;
using CrossAlign.Kernels.Cpu.Simd;
using CrossAlign.Runtime;

namespace CrossAlign.Kernels.Cpu;

/// <summary>LayerNorm on the CPU: two sweeps a row forward (the row stays in the first-level cache), one partial sum of the weight's
/// gradient a partition backward, merged in the partitions' order.</summary>
internal static unsafe class CpuLayerNorm
{
    private const int MinRowsPerPartition = 16;

    // Vectors added lane by lane as floats before they go to a double, which costs as much as several of them.
    private const int VectorsPerSum = 8;

    public static void Forward(
        in Tensor input, in Tensor residual, in Tensor sum, in Tensor weight, in Tensor bias, in Tensor output, in Tensor mean, in Tensor rstd, float epsilon)
    {
        CpuDevice device = (CpuDevice)input.Device;
        RowPartition partition = new(input.Shape[0], MinRowsPerPartition);
        ForwardState state = new()
        {
            Partition = partition,
            C = input.Shape[1],
            Epsilon = epsilon,
            Input = (void*)input.Address,
            Residual = residual.IsPresent ? (void*)residual.Address : null,
            Sum = sum.IsPresent ? (void*)sum.Address : null,
            Weight = weight.Pointer<float>(),
            Bias = bias.Pointer<float>(),
            Output = (void*)output.Address,
            Mean = mean.Pointer<float>(),
            Rstd = rstd.Pointer<float>(),
        };
        device.Workers.Run(partition.Count, SimdKernel.For<ForwardKernel>(input.DType), &state);
    }

    public static void Backward(
        in Tensor dOutput, in Tensor input, in Tensor weight, in Tensor mean, in Tensor rstd, in Tensor dInput, in Tensor dWeight, in Tensor dBias, bool accumulateInput)
    {
        CpuDevice device = (CpuDevice)input.Device;
        int c = input.Shape[1];
        RowPartition partition = new(input.Shape[0], MinRowsPerPartition);
        BackwardState state = new()
        {
            Partition = partition,
            C = c,
            AccumulateInput = accumulateInput,
            DOutput = (void*)dOutput.Address,
            Input = (void*)input.Address,
            Weight = weight.Pointer<float>(),
            Mean = mean.Pointer<float>(),
            Rstd = rstd.Pointer<float>(),
            DInput = (void*)dInput.Address,
            Partials = (float*)device.Scratch((long)partition.Count * 2 * c * sizeof(float)),
        };
        device.Workers.Run(partition.Count, SimdKernel.For<BackwardKernel>(input.DType), &state);

        float* dWeights = dWeight.Pointer<float>();
        float* dBiases = dBias.Pointer<float>();
        for (int i = 0; i < c; i++)
        {
            double weightSum = 0;
            double biasSum = 0;
            for (int p = 0; p < partition.Count; p++)
            {
                weightSum += state.Partials[((long)p * 2 * c) + i];
                biasSum += state.Partials[((long)p * 2 * c) + c + i];
            }

            dWeights[i] += (float)weightSum;
            dBiases[i] += (float)biasSum;
        }
    }

    private struct ForwardState
    {
        public RowPartition Partition;
        public int C;
        public float Epsilon;
        public void* Input;
        public void* Residual;
        public void* Sum;
        public float* Weight;
        public float* Bias;
        public void* Output;
        public float* Mean;
        public float* Rstd;
    }

    private struct BackwardState
    {
        public RowPartition Partition;
        public int C;
        public bool AccumulateInput;
        public void* DOutput;
        public void* Input;
        public float* Weight;
        public float* Mean;
        public float* Rstd;
        public void* DInput;
        public float* Partials;
    }

    private readonly struct ForwardKernel : ISimdKernel
    {
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public static void Run<TVector, TElement>(int task, void* state)
            where TVector : unmanaged, ISimdFloat<TVector>
            where TElement : unmanaged, ISimdElement
        {
            ForwardState* s = (ForwardState*)state;
            int c = s->C;
            int whole = c - (c % TVector.Count);
            int tail = c - whole;
            for (int row = s->Partition.Start(task); row < s->Partition.Start(task + 1); row++)
            {
                long offset = (long)row * c;
                void* source = s->Input;
                if (s->Residual != null)
                {
                    // The sum is stored first, so that what is normalised has the rounding of what the backward pass reads.
                    for (int i = 0; i < whole; i += TVector.Count)
                    {
                        TVector x = TElement.Load<TVector>(s->Input, offset + i) + TElement.Load<TVector>(s->Residual, offset + i);
                        TElement.Store(x, s->Sum, offset + i);
                    }

                    if (tail > 0)
                    {
                        TVector x = TElement.LoadPartial<TVector>(s->Input, offset + whole, tail)
                            + TElement.LoadPartial<TVector>(s->Residual, offset + whole, tail);
                        TElement.StorePartial(x, s->Sum, offset + whole, tail);
                    }

                    source = s->Sum;
                }

                double sum = 0;
                for (int i = 0; i < whole;)
                {
                    TVector part = TVector.Zero;
                    for (int end = Math.Min(i + (VectorsPerSum * TVector.Count), whole); i < end; i += TVector.Count)
                    {
                        part += TElement.Load<TVector>(source, offset + i);
                    }

                    sum += TVector.Sum(part);
                }

                if (tail > 0)
                {
                    sum += TVector.Sum(TElement.LoadPartial<TVector>(source, offset + whole, tail));
                }

                float mean = (float)(sum / c);
                TVector means = TVector.Broadcast(mean);
                double squares = 0;
                for (int i = 0; i < whole;)
                {
                    TVector part = TVector.Zero;
                    for (int end = Math.Min(i + (VectorsPerSum * TVector.Count), whole); i < end; i += TVector.Count)
                    {
                        TVector d = TElement.Load<TVector>(source, offset + i) - means;
                        part = TVector.MultiplyAdd(d, d, part);
                    }

                    squares += TVector.Sum(part);
                }

                for (int i = whole; i < c; i++)
                {
                    double d = TElement.LoadScalar(source, offset + i) - mean;
                    squares += d * d;
                }

                float rstd = (float)(1 / Math.Sqrt((squares / c) + s->Epsilon));
                s->Mean[row] = mean;
                s->Rstd[row] = rstd;
                TVector rstds = TVector.Broadcast(rstd);
                for (int i = 0; i < whole; i += TVector.Count)
                {
                    TVector x = (TElement.Load<TVector>(source, offset + i) - means) * rstds;
                    TElement.Store(TVector.MultiplyAdd(x, TVector.Load(s->Weight + i), TVector.Load(s->Bias + i)), s->Output, offset + i);
                }

                if (tail > 0)
                {
                    TVector x = (TElement.LoadPartial<TVector>(source, offset + whole, tail) - means) * rstds;
                    TVector y = TVector.MultiplyAdd(
                        x, TVector.LoadPartial(s->Weight + whole, tail), TVector.LoadPartial(s->Bias + whole, tail));
                    TElement.StorePartial(y, s->Output, offset + whole, tail);
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
            BackwardState* s = (BackwardState*)state;
            int c = s->C;
            int whole = c - (c % TVector.Count);
            float* dWeight = s->Partials + ((long)task * 2 * c);
            float* dBias = dWeight + c;
            new Span<float>(dWeight, 2 * c).Clear();
            for (int row = s->Partition.Start(task); row < s->Partition.Start(task + 1); row++)
            {
                long offset = (long)row * c;
                float mean = s->Mean[row];
                float rstd = s->Rstd[row];
                TVector means = TVector.Broadcast(mean);
                TVector rstds = TVector.Broadcast(rstd);

                // a = mean(g), b = mean(g xhat) with g = dy * weight; dx = rstd (g - a - xhat b).
                double a = 0;
                double b = 0;
                for (int i = 0; i < whole;)
                {
                    TVector partA = TVector.Zero;
                    TVector partB = TVector.Zero;
                    for (int end = Math.Min(i + (VectorsPerSum * TVector.Count), whole); i < end; i += TVector.Count)
                    {
                        TVector dy = TElement.Load<TVector>(s->DOutput, offset + i);
                        TVector x = (TElement.Load<TVector>(s->Input, offset + i) - means) * rstds;
                        TVector g = dy * TVector.Load(s->Weight + i);
                        partA += g;
                        partB = TVector.MultiplyAdd(g, x, partB);
                        TVector.Store(TVector.MultiplyAdd(dy, x, TVector.Load(dWeight + i)), dWeight + i);
                        TVector.Store(dy + TVector.Load(dBias + i), dBias + i);
                    }

                    a += TVector.Sum(partA);
                    b += TVector.Sum(partB);
                }

                for (int i = whole; i < c; i++)
                {
                    float dy = TElement.LoadScalar(s->DOutput, offset + i);
                    float x = (TElement.LoadScalar(s->Input, offset + i) - mean) * rstd;
                    float g = dy * s->Weight[i];
                    a += g;
                    b += g * x;
                    dWeight[i] += dy * x;
                    dBias[i] += dy;
                }

                float meanG = (float)(a / c);
                float meanGx = (float)(b / c);
                TVector meanGs = TVector.Broadcast(meanG);
                TVector meanGxs = TVector.Broadcast(meanGx);
                for (int i = 0; i < whole; i += TVector.Count)
                {
                    TVector x = (TElement.Load<TVector>(s->Input, offset + i) - means) * rstds;
                    TVector g = TElement.Load<TVector>(s->DOutput, offset + i) * TVector.Load(s->Weight + i);
                    TVector dx = rstds * (g - meanGs - (x * meanGxs));
                    if (s->AccumulateInput)
                    {
                        dx += TElement.Load<TVector>(s->DInput, offset + i);
                    }

                    TElement.Store(dx, s->DInput, offset + i);
                }

                for (int i = whole; i < c; i++)
                {
                    float x = (TElement.LoadScalar(s->Input, offset + i) - mean) * rstd;
                    float g = TElement.LoadScalar(s->DOutput, offset + i) * s->Weight[i];
                    float dx = rstd * (g - meanG - (x * meanGx));
                    TElement.StoreScalar(s->AccumulateInput ? dx + TElement.LoadScalar(s->DInput, offset + i) : dx, s->DInput, offset + i);
                }
            }
        }
    }
}
