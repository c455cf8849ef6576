using System.Runtime.CompilerServices;
using CrossAlign.Kernels.Cpu.Simd;
using CrossAlign.Runtime;

namespace CrossAlign.Kernels.Cpu;

/// <summary>
/// AdamW on the CPU: one sweep over weights, gradients and moments. In a table with a sparse gradient the rows without one are
/// stepped with a gradient of zero; where a row's moments are zero too and nothing decays, that changes nothing, and the row is left
/// alone.
/// </summary>
internal static unsafe class CpuAdamW
{
    public static void Step(AdamWParameters parameters, ReadOnlySpan<float> settings, in Tensor gradientNorm)
    {
        float clip = 1;
        if (gradientNorm.IsPresent)
        {
            float* norm = gradientNorm.Pointer<float>();
            if (norm[2] == 0)
            {
                return;
            }

            clip = norm[1];
        }

        CpuDevice device = (CpuDevice)parameters.Device;
        int tasks = ParameterTasks.Count(parameters.AsSpan(), gradientsOnly: false);
        ParameterTasks.Item* items = (ParameterTasks.Item*)device.Scratch(ParameterTasks.ByteCount(parameters.Count));
        ParameterTasks.Write(parameters.AsSpan(), gradientsOnly: false, items);
        for (int i = 0; i < parameters.Count; i++)
        {
            AdamWScales scales = parameters.Scales[i];
            items[i].StepSize = settings[1] * scales.RateFactor;
            items[i].Maximum = scales.Maximum;
            items[i].Shrink = MathF.FusedMultiplyAdd(-settings[0], scales.Decay, 1);
        }

        State state = new()
        {
            Items = items,
            ItemCount = parameters.Count,
            Clip = clip,
            Beta1 = settings[2],
            OneMinusBeta1 = settings[3],
            Beta2 = settings[4],
            OneMinusBeta2 = settings[5],
            InverseRootCorrection2 = settings[6],
            Epsilon = settings[7],
        };
        device.Workers.Run(tasks, SimdKernel.For<Kernel>(DType.Float32), &state);
    }

    private struct State
    {
        public ParameterTasks.Item* Items;
        public int ItemCount;
        public float Clip;
        public float Beta1;
        public float OneMinusBeta1;
        public float Beta2;
        public float OneMinusBeta2;
        public float InverseRootCorrection2;
        public float Epsilon;
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
            long end = Math.Min(first + item->UnitsPerTask, item->Units);
            if (item->RowIds == null)
            {
                Update<TVector>(s, item, first, end - first, item->Gradient + first);
                return;
            }

            int next = FirstAtLeast(item->RowIds, item->RowCount, first);
            for (long row = first; row < end; row++)
            {
                long at = row * item->Columns;
                if (next < item->RowCount && item->RowIds[next] == row)
                {
                    Update<TVector>(s, item, at, item->Columns, item->Gradient + ((long)next * item->Columns));
                    next++;
                }
                else if (item->Shrink != 1 || HasMoments<TVector>(item, at))
                {
                    Update<TVector>(s, item, at, item->Columns, null);
                }
            }
        }
    }

    /// <summary>Steps <paramref name="count"/> elements; without a gradient it is zero.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Update<TVector>(State* s, ParameterTasks.Item* item, long start, long count, float* gradient)
        where TVector : unmanaged, ISimdFloat<TVector>
    {
        TVector clip = TVector.Broadcast(s->Clip);
        TVector beta1 = TVector.Broadcast(s->Beta1);
        TVector oneMinusBeta1 = TVector.Broadcast(s->OneMinusBeta1);
        TVector beta2 = TVector.Broadcast(s->Beta2);
        TVector oneMinusBeta2 = TVector.Broadcast(s->OneMinusBeta2);
        TVector inverseRoot = TVector.Broadcast(s->InverseRootCorrection2);
        TVector epsilon = TVector.Broadcast(s->Epsilon);
        TVector stepSize = TVector.Broadcast(item->StepSize);
        TVector shrink = TVector.Broadcast(item->Shrink);
        TVector maximum = TVector.Broadcast(item->Maximum);
        float* weight = item->Weight + start;
        float* first = item->FirstMoment + start;
        float* second = item->SecondMoment + start;
        ushort* copy = item->WeightCopy == null ? null : item->WeightCopy + start;
        for (long i = 0; i < count; i += TVector.Count)
        {
            int lanes = (int)Math.Min(TVector.Count, count - i);
            bool whole = lanes == TVector.Count;
            TVector g = gradient == null ? TVector.Zero : whole ? TVector.Load(gradient + i) : TVector.LoadPartial(gradient + i, lanes);
            TVector m = whole ? TVector.Load(first + i) : TVector.LoadPartial(first + i, lanes);
            TVector v = whole ? TVector.Load(second + i) : TVector.LoadPartial(second + i, lanes);
            TVector p = whole ? TVector.Load(weight + i) : TVector.LoadPartial(weight + i, lanes);
            g *= clip;
            m = TVector.MultiplyAdd(beta1, m, oneMinusBeta1 * g);
            v = TVector.MultiplyAdd(beta2, v, oneMinusBeta2 * (g * g));
            TVector denominator = TVector.MultiplyAdd(TVector.Sqrt(v), inverseRoot, epsilon);
            p = TVector.Min((p * shrink) - (stepSize * (m / denominator)), maximum);
            if (whole)
            {
                TVector.Store(m, first + i);
                TVector.Store(v, second + i);
                TVector.Store(p, weight + i);
                if (copy != null)
                {
                    TVector.StoreBFloat16(p, copy + i);
                }
            }
            else
            {
                TVector.StorePartial(m, first + i, lanes);
                TVector.StorePartial(v, second + i, lanes);
                TVector.StorePartial(p, weight + i, lanes);
                if (copy != null)
                {
                    BFloat16Element.StorePartial(p, copy, i, lanes);
                }
            }
        }
    }

    private static bool HasMoments<TVector>(ParameterTasks.Item* item, long start)
        where TVector : unmanaged, ISimdFloat<TVector>
    {
        // A NaN is unequal to zero as well.
        TVector sum = TVector.Zero;
        int whole = item->Columns - (item->Columns % TVector.Count);
        for (int i = 0; i < whole; i += TVector.Count)
        {
            sum += TVector.Abs(TVector.Load(item->FirstMoment + start + i)) + TVector.Load(item->SecondMoment + start + i);
        }

        if (whole < item->Columns)
        {
            int lanes = item->Columns - whole;
            sum += TVector.Abs(TVector.LoadPartial(item->FirstMoment + start + whole, lanes))
                + TVector.LoadPartial(item->SecondMoment + start + whole, lanes);
        }

        return TVector.Sum(sum) != 0;
    }

    private static int FirstAtLeast(int* rows, int count, long row)
    {
        int low = 0;
        int high = count;
        while (low < high)
        {
            int middle = (low + high) / 2;
            if (rows[middle] < row)
            {
                low = middle + 1;
            }
            else
            {
                high = middle;
            }
        }

        return low;
    }
}
