using System.Runtime.CompilerServices;
using CrossAlign.Kernels.Cpu.Simd;
using CrossAlign.Runtime;

namespace CrossAlign.Kernels.Cpu;

/// <summary>The gradients' norm on the CPU: a sum of squares in double for each task, added in the tasks' order.</summary>
internal static unsafe class CpuGradientNorm
{
    public static void Run(ReadOnlySpan<AdamWParameter> parameters, double maxNorm, in Tensor result, double gradientScale)
    {
        CpuDevice device = (CpuDevice)result.Device;
        int tasks = ParameterTasks.Count(parameters, gradientsOnly: true);
        byte* scratch = (byte*)device.Scratch((tasks * sizeof(double)) + ParameterTasks.ByteCount(parameters.Length));
        State state = new()
        {
            Squares = (double*)scratch,
            Items = (ParameterTasks.Item*)(scratch + (tasks * sizeof(double))),
            ItemCount = parameters.Length,
        };
        ParameterTasks.Write(parameters, gradientsOnly: true, state.Items);
        device.Workers.Run(tasks, SimdKernel.For<Kernel>(DType.Float32), &state);
        double squares = 0;
        for (int task = 0; task < tasks; task++)
        {
            squares += state.Squares[task];
        }

        double norm = gradientScale * Math.Sqrt(squares);
        float* values = result.Pointer<float>();
        bool finite = double.IsFinite(squares);
        values[0] = (float)norm;
        values[1] = finite ? (float)(gradientScale * Math.Min(1, maxNorm / (norm + 1e-6))) : 0;
        values[2] = finite ? 1 : 0;
    }

    private struct State
    {
        public double* Squares;
        public ParameterTasks.Item* Items;
        public int ItemCount;
    }

    private readonly struct Kernel : ISimdKernel
    {
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public static void Run<TVector, TElement>(int task, void* state)
            where TVector : unmanaged, ISimdFloat<TVector>
            where TElement : unmanaged, ISimdElement
        {
            State* s = (State*)state;
            ParameterTasks.Item* item = ParameterTasks.Find(s->Items, s->ItemCount, task);
            long first = (task - item->FirstTask) * item->UnitsPerTask;
            float* at = item->Gradient + (first * item->Columns);
            float* end = item->Gradient + (Math.Min(first + item->UnitsPerTask, item->Units) * item->Columns);
            float* start = at;
            double squares = 0;

            // Four squares a lane are added as floats before they go to the double.
            for (; at <= end - (4 * TVector.Count); at += 4 * TVector.Count)
            {
                TVector x0 = TVector.Load(at);
                TVector x1 = TVector.Load(at + TVector.Count);
                TVector x2 = TVector.Load(at + (2 * TVector.Count));
                TVector x3 = TVector.Load(at + (3 * TVector.Count));
                squares += TVector.Sum(TVector.MultiplyAdd(x1, x1, x0 * x0) + TVector.MultiplyAdd(x3, x3, x2 * x2));
            }

            for (; at < end; at++)
            {
                squares += (double)*at * *at;
            }

            if (!double.IsFinite(squares))
            {
                // The square of a finite float may be too large for a float, never for a double.
                squares = 0;
                for (at = start; at < end; at++)
                {
                    squares += (double)*at * *at;
                }
            }

            s->Squares[task] = squares;
        }
    }
}
