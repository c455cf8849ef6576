using System.Globalization;
using CrossAlign.Kernels.Cpu.Simd;
using CrossAlign.Reference;
using CrossAlign.Runtime;

namespace CrossAlign.Kernels.Tests;

/// <summary>The elementary functions of the tier in use, against double precision.</summary>
public sealed unsafe class CpuSimdMathTests
{
    private const int Count = 64 * 1024;

    [Fact]
    public void ExpIsWithinTwoUnitsInTheLastPlace() => AssertRelative<ExpKernel>(-87.3f, 88.29f, Math.Exp, 2.4e-7);

    [Fact]
    public void ExpOfNonPositiveNumbersIsTheSame()
    {
        AssertRelative<ExpNonPositiveKernel>(-87.3f, 0, Math.Exp, 2.4e-7);
        Assert.Equal(
            [1f, 0f, 0f, 0f, 0f, float.NaN], Evaluate<ExpNonPositiveKernel>([0, float.NegativeInfinity, -88, -1000, float.MinValue, float.NaN]));
    }

    [Fact]
    public void LogIsAccurateFromTheSmallestNormalNumberToTwoToThe127()
    {
        // Near 1 the logarithm is small: there the error counts absolutely.
        float[] x = new float[Count];
        for (int i = 0; i < x.Length; i++)
        {
            x[i] = (float)Math.Exp(-87.3 + (175.3 * i / (x.Length - 1)));
        }

        x[0] = 1;
        float[] y = Evaluate<LogKernel>(x);
        Assert.Equal(0, y[0]);
        for (int i = 0; i < x.Length; i++)
        {
            double expected = Math.Log(x[i]);
            Assert.True(
                Math.Abs(y[i] - expected) <= Math.Max(1e-7, 2.4e-7 * Math.Abs(expected)),
                string.Create(CultureInfo.InvariantCulture, $"log({x[i]:G9}) is {y[i]:G9}, expected {expected:G9}."));
        }

        Assert.True(float.IsNaN(Evaluate<LogKernel>([float.NaN])[0]));
    }

    [Fact]
    public void SigmoidHasRelativeAccuracyOnBothSides() => AssertRelative<SigmoidKernel>(-87, 87, x => 1 / (1 + Math.Exp(-x)), 4e-7);

    // e^(-x^2/2) itself is known to x^2 / 2 units only, so its error grows with x; 1e-6 is 8 units at the ends.
    [Fact]
    public void TheNormalDistributionFunctionIsAccurateInItsTail() =>
        AssertRelative<NormalCdfKernel>(-5, 5, x => GeluReference.Erfc(-x / Math.Sqrt(2)) / 2, 1.5e-6);

    [Fact]
    public void ExpHandlesTheEnds()
    {
        float[] y = Evaluate<ExpKernel>([0, float.NegativeInfinity, -88, -1000, float.NaN, float.PositiveInfinity, 88.3f, 89]);
        Assert.Equal(1, y[0]);
        Assert.Equal([0f, 0f, 0f], y[1..4]);
        Assert.Equal(float.NaN, y[4]);
        Assert.Equal([y[6], y[6], y[6]], y[5..8]);
    }

    [Fact]
    public void AccumulateKeepsWhatFloatsDrop()
    {
        // 1 + 2^20 times 2^-30 is invisible to a float sum.
        float high = 1;
        FloatScalar h = FloatScalar.Load(&high);
        FloatScalar l = FloatScalar.Zero;
        for (int i = 0; i < 1 << 20; i++)
        {
            SimdMath.Accumulate(FloatScalar.Broadcast(1f / (1 << 30)), ref h, ref l);
        }

        Assert.Equal(1 + (1.0 / (1 << 10)), FloatScalar.Sum(h) + FloatScalar.Sum(l), 1e-9);
    }

    private static void AssertRelative<TKernel>(float low, float high, Func<double, double> exact, double tolerance)
        where TKernel : ISimdKernel
    {
        float[] x = new float[Count];
        for (int i = 0; i < x.Length; i++)
        {
            x[i] = low + ((high - low) * i / (x.Length - 1));
        }

        float[] y = Evaluate<TKernel>(x);
        for (int i = 0; i < x.Length; i++)
        {
            double expected = exact(x[i]);
            Assert.True(
                Math.Abs(y[i] - expected) <= tolerance * expected,
                string.Create(CultureInfo.InvariantCulture, $"f({x[i]:G9}) is {y[i]:G9}, expected {expected:G9}."));
        }
    }

    private static float[] Evaluate<TKernel>(float[] x)
        where TKernel : ISimdKernel
    {
        // Whole vectors for every tier.
        float[] values = new float[(x.Length + 15) / 16 * 16];
        x.CopyTo(values, 0);
        fixed (float* p = values)
        {
            State state = new() { Values = p, Count = values.Length };
            delegate*<int, void*, void> body = SimdKernel.For<TKernel>(DType.Float32);
            body(0, &state);
        }

        return values[..x.Length];
    }

    private struct State
    {
        public float* Values;
        public int Count;
    }

    private readonly struct ExpKernel : ISimdKernel
    {
        public static void Run<TVector, TElement>(int task, void* state)
            where TVector : unmanaged, ISimdFloat<TVector>
            where TElement : unmanaged, ISimdElement
        {
            State* s = (State*)state;
            for (int i = 0; i < s->Count; i += TVector.Count)
            {
                TVector.Store(SimdMath.Exp(TVector.Load(s->Values + i)), s->Values + i);
            }
        }
    }

    private readonly struct ExpNonPositiveKernel : ISimdKernel
    {
        public static void Run<TVector, TElement>(int task, void* state)
            where TVector : unmanaged, ISimdFloat<TVector>
            where TElement : unmanaged, ISimdElement
        {
            State* s = (State*)state;
            for (int i = 0; i < s->Count; i += TVector.Count)
            {
                TVector.Store(SimdMath.ExpNonPositive(TVector.Load(s->Values + i)), s->Values + i);
            }
        }
    }

    private readonly struct LogKernel : ISimdKernel
    {
        public static void Run<TVector, TElement>(int task, void* state)
            where TVector : unmanaged, ISimdFloat<TVector>
            where TElement : unmanaged, ISimdElement
        {
            State* s = (State*)state;
            for (int i = 0; i < s->Count; i += TVector.Count)
            {
                TVector.Store(SimdMath.Log(TVector.Load(s->Values + i)), s->Values + i);
            }
        }
    }

    private readonly struct SigmoidKernel : ISimdKernel
    {
        public static void Run<TVector, TElement>(int task, void* state)
            where TVector : unmanaged, ISimdFloat<TVector>
            where TElement : unmanaged, ISimdElement
        {
            State* s = (State*)state;
            for (int i = 0; i < s->Count; i += TVector.Count)
            {
                TVector.Store(SimdMath.Sigmoid(TVector.Load(s->Values + i)), s->Values + i);
            }
        }
    }

    private readonly struct NormalCdfKernel : ISimdKernel
    {
        public static void Run<TVector, TElement>(int task, void* state)
            where TVector : unmanaged, ISimdFloat<TVector>
            where TElement : unmanaged, ISimdElement
        {
            State* s = (State*)state;
            for (int i = 0; i < s->Count; i += TVector.Count)
            {
                TVector x = TVector.Load(s->Values + i);
                TVector bell = SimdMath.Exp(x * x * TVector.Broadcast(-0.5f));
                TVector.Store(SimdMath.NormalCdf(x, bell), s->Values + i);
            }
        }
    }
}
