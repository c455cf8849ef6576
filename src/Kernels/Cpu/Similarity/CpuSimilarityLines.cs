using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using CrossAlign.Kernels.Cpu.Simd;
using CrossAlign.Runtime;

namespace CrossAlign.Kernels.Cpu.Similarity;

/// <summary>
/// What is done to the gradients line by line after the products: the norm's part of the backward pass, the scale, and the inner products of
/// each line with its gradient, whose sum is the scale's gradient.
/// </summary>
internal static unsafe class CpuSimilarityLines
{
    private const int MinRowsPerPartition = 16;

    /// <summary>The inner product in double: products are exact there, only sums are rounded.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static double Dot<TLeft, TRight>(void* left, long leftOffset, void* right, long rightOffset, int count)
        where TLeft : unmanaged, ISimdElement
        where TRight : unmanaged, ISimdElement
    {
        // Four sums at a time, or four of four: one alone would wait for itself.
        int e = 0;
        double wide = 0;
        if (Avx.IsSupported)
        {
            Vector256<double> total0 = Vector256<double>.Zero;
            Vector256<double> total1 = Vector256<double>.Zero;
            Vector256<double> total2 = Vector256<double>.Zero;
            Vector256<double> total3 = Vector256<double>.Zero;
            for (; e <= count - 16; e += 16)
            {
                total0 += Widened<TLeft>(left, leftOffset + e) * Widened<TRight>(right, rightOffset + e);
                total1 += Widened<TLeft>(left, leftOffset + e + 4) * Widened<TRight>(right, rightOffset + e + 4);
                total2 += Widened<TLeft>(left, leftOffset + e + 8) * Widened<TRight>(right, rightOffset + e + 8);
                total3 += Widened<TLeft>(left, leftOffset + e + 12) * Widened<TRight>(right, rightOffset + e + 12);
            }

            Vector256<double> total = (total0 + total1) + (total2 + total3);
            Vector128<double> pair = total.GetLower() + total.GetUpper();
            wide = pair[0] + pair[1];
        }

        double sum0 = 0;
        double sum1 = 0;
        double sum2 = 0;
        double sum3 = 0;
        for (; e <= count - 4; e += 4)
        {
            sum0 += (double)TLeft.LoadScalar(left, leftOffset + e) * TRight.LoadScalar(right, rightOffset + e);
            sum1 += (double)TLeft.LoadScalar(left, leftOffset + e + 1) * TRight.LoadScalar(right, rightOffset + e + 1);
            sum2 += (double)TLeft.LoadScalar(left, leftOffset + e + 2) * TRight.LoadScalar(right, rightOffset + e + 2);
            sum3 += (double)TLeft.LoadScalar(left, leftOffset + e + 3) * TRight.LoadScalar(right, rightOffset + e + 3);
        }

        for (; e < count; e++)
        {
            sum0 += (double)TLeft.LoadScalar(left, leftOffset + e) * TRight.LoadScalar(right, rightOffset + e);
        }

        return wide + ((sum0 + sum1) + (sum2 + sum3));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<double> Widened<TElement>(void* source, long at)
        where TElement : unmanaged, ISimdElement => Avx.ConvertToVector256Double(TElement.Load<Float128>(source, at).Value);

    /// <summary>Before a further prefix: keeps what the inner products are already.</summary>
    public static void Keep(CpuSimilarityState* s, void* source, float* gradient, int count, double* inner, WorkerPool workers)
    {
        LineState state = Lines(s, source, gradient, count, null, inner);
        workers.Run(state.Partition.Count, SimdKernel.For<KeepKernel>(s->DType, s->Round), &state);
    }

    /// <summary>After a prefix.</summary>
    /// <param name="s">The state.</param>
    /// <param name="source">The side's embeddings.</param>
    /// <param name="gradient">The side's gradients, not yet multiplied by the scale.</param>
    /// <param name="count">Lines.</param>
    /// <param name="hasLong">Whether some embeddings were multiplied by a factor (<see cref="CpuSimilaritySide.HasLong"/>).</param>
    /// <param name="rstd">1 / norm of the multiplied embeddings, or null.</param>
    /// <param name="inner">What <see cref="Keep"/> kept, or null for zeros.</param>
    /// <param name="isLast">Whether to multiply the gradients by the scale.</param>
    /// <param name="workers">Who does it.</param>
    /// <param name="magnitude">The sum of their magnitudes.</param>
    /// <returns>The sum of the inner products that this prefix added.</returns>
    public static double Finish(CpuSimilarityState* s, void* source, float* gradient, int count, bool hasLong, float* rstd, double* inner, bool isLast, WorkerPool workers, out double magnitude)
    {
        LineState state = Lines(s, source, gradient, count, rstd, inner);
        state.HasLong = hasLong;
        state.IsLast = isLast;
        state.Scale = s->GradientScale;
        workers.Run(state.Partition.Count, SimdKernel.For<FinishKernel>(s->DType, s->Round), &state);
        double sum = 0;
        magnitude = 0;
        for (int p = 0; p < state.Partition.Count; p++)
        {
            sum += s->Partials[p];
            magnitude += s->Partials[CpuSimilarityState.MaxPartitions + p];
        }

        return sum;
    }

    private static LineState Lines(CpuSimilarityState* s, void* source, float* gradient, int count, float* rstd, double* inner) => new()
    {
        Partition = new RowPartition(count, MinRowsPerPartition, CpuSimilarityState.MaxPartitions),
        Source = source,
        Gradient = gradient,
        E = s->E,
        Width = s->Width,
        Rstd = rstd,
        Inner = inner,
        Partials = s->Partials,
    };

    private struct LineState
    {
        public RowPartition Partition;
        public void* Source;
        public float* Gradient;
        public int E;
        public int Width;
        public float* Rstd;
        public double* Inner;
        public double* Partials;
        public bool HasLong;
        public bool IsLast;
        public float Scale;
    }

    // A line that has no part in the loss has no part in a sum, whatever it holds.
    private static bool IsEmpty(double inner, float* gradient, int count) => !double.IsFinite(inner) && !new ReadOnlySpan<float>(gradient, count).ContainsAnyExcept(0f);

    private readonly struct KeepKernel : ISimdKernel
    {
        public static void Run<TVector, TElement>(int task, void* state)
            where TVector : unmanaged, ISimdFloat<TVector>
            where TElement : unmanaged, ISimdElement
        {
            LineState* s = (LineState*)state;
            for (int i = s->Partition.Start(task); i < s->Partition.Start(task + 1); i++)
            {
                long at = (long)i * s->E;
                double inner = Dot<TElement, Float32Element>(s->Source, at, s->Gradient, at, s->Width);
                s->Inner[i] = IsEmpty(inner, s->Gradient + at, s->E) ? 0 : inner;
            }
        }
    }

    private readonly struct FinishKernel : ISimdKernel
    {
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public static void Run<TVector, TElement>(int task, void* state)
            where TVector : unmanaged, ISimdFloat<TVector>
            where TElement : unmanaged, ISimdElement
        {
            LineState* s = (LineState*)state;
            double sum = 0;
            double magnitude = 0;
            for (int i = s->Partition.Start(task); i < s->Partition.Start(task + 1); i++)
            {
                long at = (long)i * s->E;
                double inner = Dot<TElement, Float32Element>(s->Source, at, s->Gradient, at, s->Width);
                float* gradient = s->Gradient + at;
                if (IsEmpty(inner, gradient, s->E))
                {
                    continue;
                }

                float ofSource = s->HasLong ? CpuSimilarityPreparation.FactorOf(Dot<TElement, TElement>(s->Source, at, s->Source, at, s->E)) : 1;
                float factor = s->IsLast ? s->Scale * ofSource : 1;
                inner = (inner - (s->Inner == null ? 0 : s->Inner[i])) * ofSource;
                sum += inner;
                magnitude += Math.Abs(inner);
                if (s->Rstd != null)
                {
                    // d = r (g - unit (unit . g)) with r g in place already. A row shorter than epsilon was divided by a constant.
                    float rstd = s->Rstd[i];
                    double length = (double)rstd * ofSource;

                    // A long row leaves float32's range one way, a short prefix of one the other: it is brought to a length of about 1 first.
                    float unit = ofSource == 1 || rstd == 0 ? 1 : MathF.ScaleB(1, Math.ILogB(length));
                    float along = length < 1e12f ? (float)(-inner * rstd * length / unit) : 0;
                    int whole = s->Width - (s->Width % TVector.Count);
                    AddAlong<TVector, TElement>(s->Source, at, unit, along, gradient, 0, whole);
                    AddAlong<FloatScalar, TElement>(s->Source, at, unit, along, gradient, whole, s->Width);
                }

                if (factor != 1)
                {
                    int whole = s->E - (s->E % TVector.Count);
                    Multiply<TVector>(gradient, factor, 0, whole);
                    Multiply<FloatScalar>(gradient, factor, whole, s->E);
                }
            }

            s->Partials[task] = sum;
            s->Partials[CpuSimilarityState.MaxPartitions + task] = magnitude;
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static void AddAlong<TVector, TElement>(void* source, long at, float unit, float factor, float* gradient, int start, int end)
            where TVector : unmanaged, ISimdFloat<TVector>
            where TElement : unmanaged, ISimdElement
        {
            TVector units = TVector.Broadcast(unit);
            TVector factors = TVector.Broadcast(factor);
            for (int e = start; e < end; e += TVector.Count)
            {
                TVector x = TElement.Load<TVector>(source, at + e) * units;
                TVector.Store(TVector.MultiplyAdd(x, factors, TVector.Load(gradient + e)), gradient + e);
            }
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static void Multiply<TVector>(float* gradient, float factor, int start, int end)
            where TVector : unmanaged, ISimdFloat<TVector>
        {
            TVector factors = TVector.Broadcast(factor);
            for (int e = start; e < end; e += TVector.Count)
            {
                TVector.Store(TVector.Load(gradient + e) * factors, gradient + e);
            }
        }
    }
}
