using System.Runtime.CompilerServices;
using CrossAlign.Kernels.Cpu.Simd;
using CrossAlign.Runtime;

namespace CrossAlign.Kernels.Cpu;

/// <summary>Linear layers on the CPU: three matrix products and the sum of columns.</summary>
internal static unsafe class CpuLinear
{
    private const int MinRowsPerPartition = 64;

    public static void Forward(in Tensor input, in Tensor weight, in Tensor bias, in Tensor output) =>
        CpuMatMul.Run(input, weight, bias, output, MatMulLayout.NT, 1, accumulate: false);

    public static void Backward(
        in Tensor dOutput, in Tensor input, in Tensor weight, in Tensor dInput, in Tensor dWeight, in Tensor dBias, bool accumulateInput)
    {
        if (dInput.IsPresent)
        {
            CpuMatMul.Run(dOutput, weight, dInput, MatMulLayout.NN, 1, accumulateInput);
        }

        if (dWeight.IsPresent)
        {
            CpuMatMul.Run(dOutput, input, dWeight, MatMulLayout.TN, 1, accumulate: true);
        }

        if (dBias.IsPresent)
        {
            SumColumns(dOutput, dBias);
        }
    }

    // Partial sums of the partitions in double, merged in the partitions' order.
    private static void SumColumns(in Tensor dOutput, in Tensor dBias)
    {
        CpuDevice device = (CpuDevice)dOutput.Device;
        int c = dOutput.Shape[1];
        RowPartition partition = new(dOutput.Shape[0], MinRowsPerPartition);
        SumState state = new()
        {
            Partition = partition,
            C = c,
            DOutput = (void*)dOutput.Address,
            Partials = (double*)device.Scratch((long)partition.Count * c * sizeof(double)),
        };
        device.Workers.Run(partition.Count, SimdKernel.For<SumKernel>(dOutput.DType), &state);
        float* dBiases = dBias.Pointer<float>();
        for (int i = 0; i < c; i++)
        {
            double sum = 0;
            for (int p = 0; p < partition.Count; p++)
            {
                sum += state.Partials[((long)p * c) + i];
            }

            dBiases[i] += (float)sum;
        }
    }

    private struct SumState
    {
        public RowPartition Partition;
        public int C;
        public void* DOutput;
        public double* Partials;
    }

    private readonly struct SumKernel : ISimdKernel
    {
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public static void Run<TVector, TElement>(int task, void* state)
            where TVector : unmanaged, ISimdFloat<TVector>
            where TElement : unmanaged, ISimdElement
        {
            SumState* s = (SumState*)state;
            int c = s->C;
            double* sums = s->Partials + ((long)task * c);
            new Span<double>(sums, c).Clear();
            for (int row = s->Partition.Start(task); row < s->Partition.Start(task + 1); row++)
            {
                long offset = (long)row * c;
                for (int i = 0; i < c; i++)
                {
                    sums[i] += TElement.LoadScalar(s->DOutput, offset + i);
                }
            }
        }
    }
}
