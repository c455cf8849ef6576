using CrossAlign.Kernels.Tests.Harness;
using CrossAlign.Reference;
using CrossAlign.Runtime;

namespace CrossAlign.Kernels.Tests;

public abstract class GeluTests(Backend backend)
{
    public static TheoryData<GeluKind, DType, int, int> Cases()
    {
        TheoryData<GeluKind, DType, int, int> data = [];
        foreach (GeluKind kind in Enum.GetValues<GeluKind>())
        {
            foreach (DType dtype in (DType[])[DType.Float32, DType.BFloat16])
            {
                foreach ((int n, int c) in ((int, int)[])[(0, 8), (1, 1), (2, 7), (3, 16), (17, 31), (33, 32), (5, 33), (65, 96), (300, 100), (3, 301), (3, 1100)])
                {
                    data.Add(kind, dtype, n, c);
                }
            }
        }

        return data;
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void ForwardIsWithinTheErrorBudget(GeluKind kind, DType dtype, int n, int c)
    {
        Inputs x = new(dtype, n, c);
        Tensor output = RunForward(backend, kind, x);
        ErrorBudget.AssertForward(x.ExpectedForward(kind), x.TwinForward(kind), backend.Download(output), dtype, "output");
        backend.CheckGuards();
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void BackwardIsWithinTheErrorBudget(GeluKind kind, DType dtype, int n, int c)
    {
        Inputs x = new(dtype, n, c);
        (double[] dInput, double[] dBias) = x.ExpectedBackward(kind);
        (float[] twinInput, float[] twinBias) = GeluReference.Backward(kind.ToString(), x.DOutput, x.Input, x.Bias, n, c);
        for (int i = 0; i < c; i++)
        {
            dBias[i] += x.DBiasBefore[i];
            twinBias[i] += x.DBiasBefore[i];
        }

        (Tensor actualInput, Tensor actualBias) = RunBackward(backend, kind, x);
        ErrorBudget.AssertBackward(dInput, twinInput, backend.Download(actualInput), dtype, "dInput");
        ErrorBudget.AssertBackward(dBias, twinBias, backend.Download(actualBias), DType.Float32, "dBias");
        backend.CheckGuards();
    }

    [Theory]
    [InlineData(DType.Float32)]
    [InlineData(DType.BFloat16)]
    public void RowsBeyondTheFirstRoundOfBlocksAreWithinTheErrorBudget(DType dtype)
    {
        ForwardIsWithinTheErrorBudget(GeluKind.Quick, dtype, 66_001, 1);
        BackwardIsWithinTheErrorBudget(GeluKind.Quick, dtype, 33_001, 1);
    }

    [Theory]
    [InlineData(DType.Float32)]
    [InlineData(DType.BFloat16)]
    public void ColumnsBeyondTheSixteenBitsOfAGridsHeightAreWithinTheErrorBudget(DType dtype)
    {
        ForwardIsWithinTheErrorBudget(GeluKind.Tanh, dtype, 2, 66_001);
        BackwardIsWithinTheErrorBudget(GeluKind.Tanh, dtype, 2, 66_001);
    }

    [Theory]
    [InlineData(DType.Float32)]
    [InlineData(DType.BFloat16)]
    public void AViewThatLiesAskewIsMappedAsOneThatDoesNot(DType dtype) => backend.WithEachTensorAskew(() =>
    {
        ForwardIsWithinTheErrorBudget(GeluKind.Tanh, dtype, 3, 136);
        BackwardIsWithinTheErrorBudget(GeluKind.Tanh, dtype, 3, 136);
    });

    [Theory]
    [InlineData(GeluKind.Erf)]
    [InlineData(GeluKind.Tanh)]
    [InlineData(GeluKind.Quick)]
    public void TheLowerTailIsExactToItsOwnSize(GeluKind kind)
    {
        // One less a number near one leaves some 2^-24 of it, where the tail is 2^-13 and less.
        const int Count = 500;
        Shape shape = new(1, Count);
        float[] input = TestData.Normal(DType.Float32, Count, 5, 0.1f, -4.6f);
        float[] ones = Enumerable.Repeat(1f, Count).ToArray();
        double[] zeros = new double[Count];
        double[] expected = GeluReference.Forward(kind.ToString(), TestData.ToDouble(input), zeros, 1, Count);
        (double[] slope, _) = GeluReference.Backward(kind.ToString(), TestData.ToDouble(ones), TestData.ToDouble(input), zeros, 1, Count);
        Tensor tensor = backend.Upload(DType.Float32, shape, input);
        Tensor output = backend.Poisoned(DType.Float32, shape);
        Tensor dInput = backend.Poisoned(DType.Float32, shape);
        Gelu.Forward(kind, tensor, default, output);
        Gelu.Backward(kind, backend.Upload(DType.Float32, shape, ones), tensor, default, dInput, default);
        Assert.All(expected.Zip(backend.Download(output)), pair => Assert.Equal(1, pair.Second / pair.First, 1e-5));
        Assert.All(slope.Zip(backend.Download(dInput)), pair => Assert.Equal(1, pair.Second / pair.First, 1e-5));
    }

    [Fact]
    public void TheExponentialsArgumentIsNotRounded()
    {
        // Sixteenths have exact squares, so all that is lost is lost on the way to a power of two: rounding x log2 e to a float there would
        // cost 3e-6 at -10.
        const int Count = 16 * 11;
        Shape shape = new(1, Count);
        float[] input = [.. Enumerable.Range(0, Count).Select(i => -1 - (i / 16f))];
        double[] expected = GeluReference.Forward(GeluKind.Erf.ToString(), TestData.ToDouble(input), new double[Count], 1, Count);
        Tensor output = backend.Poisoned(DType.Float32, shape);
        Gelu.Forward(GeluKind.Erf, backend.Upload(DType.Float32, shape, input), default, output);
        Assert.All(expected.Zip(backend.Download(output)), pair => Assert.Equal(1, pair.Second / pair.First, 1e-6));
    }

    [Theory]
    [InlineData(GeluKind.Erf)]
    [InlineData(GeluKind.Tanh)]
    [InlineData(GeluKind.Quick)]
    public void OfBFloat16OnlyTheResultIsRounded(GeluKind kind)
    {
        Inputs narrow = new(DType.BFloat16, 33, 40);
        Inputs wide = narrow with { DType = DType.Float32 };
        (Tensor wideInput, Tensor wideBias) = RunBackward(backend, kind, wide);
        (Tensor narrowInput, Tensor narrowBias) = RunBackward(backend, kind, narrow);
        ResultRounding.AssertOnce(backend.Download(RunForward(backend, kind, wide)), backend.Download(RunForward(backend, kind, narrow)), "output");
        ResultRounding.AssertOnce(backend.Download(wideInput), backend.Download(narrowInput), "dInput");

        // The bias's gradient is a sum of what is not rounded yet.
        Assert.Equal(backend.Download(wideBias), backend.Download(narrowBias));
    }

    [Theory]
    [InlineData(GeluKind.Erf, GeluKind.Tanh)]
    [InlineData(GeluKind.Tanh, GeluKind.Erf)]
    [InlineData(GeluKind.Erf, GeluKind.Quick)]
    public void AnotherFormIsRejected(GeluKind kind, GeluKind wrong)
    {
        Inputs x = new(DType.Float32, 33, 32);
        float[] output = backend.Download(RunForward(backend, wrong, x));
        float[] dInput = backend.Download(RunBackward(backend, wrong, x).DInput);
        Assert.NotNull(ErrorBudget.Explain(x.ExpectedForward(kind), x.TwinForward(kind), output, DType.Float32, ErrorBudget.ForwardFactor, "output"));
        (float[] twin, _) = GeluReference.Backward(kind.ToString(), x.DOutput, x.Input, x.Bias, x.N, x.C);
        Assert.NotNull(ErrorBudget.Explain(x.ExpectedBackward(kind).DInput, twin, dInput, DType.Float32, ErrorBudget.BackwardFactor, "dInput"));
    }

    [Theory]
    [InlineData(GeluKind.Erf)]
    [InlineData(GeluKind.Tanh)]
    [InlineData(GeluKind.Quick)]
    public void FarFromZeroItIsTheIdentityOrZero(GeluKind kind)
    {
        float[] input = [0, 100, -100, 1e10f, -1e10f, float.NaN];
        Shape shape = new(1, input.Length);
        Tensor tensor = backend.Upload(DType.Float32, shape, input);
        Tensor dOutput = backend.Upload(DType.Float32, shape, [1, 1, 1, 1, 1, 1]);
        Tensor output = backend.Poisoned(DType.Float32, shape);
        Tensor dInput = backend.Poisoned(DType.Float32, shape);
        Gelu.Forward(kind, tensor, default, output);
        Gelu.Backward(kind, dOutput, tensor, default, dInput, default);
        Assert.Equal([0f, 100f, 0f, 1e10f, 0f, float.NaN], backend.Download(output));
        Assert.Equal([0.5f, 1f, 0f, 1f, 0f, float.NaN], backend.Download(dInput));
    }

    [Theory]
    [InlineData(GeluKind.Erf)]
    [InlineData(GeluKind.Tanh)]
    [InlineData(GeluKind.Quick)]
    public void ItWorksInPlace(GeluKind kind)
    {
        Inputs x = new(DType.Float32, 9, 37);
        Shape shape = new(9, 37);
        Tensor bias = backend.Upload(DType.Float32, new Shape(37), x.Bias);
        Tensor inPlace = backend.Upload(DType.Float32, shape, x.Input);
        Gelu.Forward(kind, inPlace, bias, inPlace);
        Assert.Equal(backend.Download(RunForward(backend, kind, x)), backend.Download(inPlace));

        Tensor gradient = backend.Upload(DType.Float32, shape, x.DOutput);
        Gelu.Backward(kind, gradient, backend.Upload(DType.Float32, shape, x.Input), bias, gradient, default);
        Assert.Equal(backend.Download(RunBackward(backend, kind, x).DInput), backend.Download(gradient));
    }

    [Theory]
    [InlineData(GeluKind.Erf)]
    [InlineData(GeluKind.Tanh)]
    [InlineData(GeluKind.Quick)]
    public void TheReferencesGradientIsProven(GeluKind kind)
    {
        double[] input = TestData.ToDouble(TestData.Normal(DType.Float32, 12, 1));
        double[] bias = TestData.ToDouble(TestData.Normal(DType.Float32, 4, 2, 0.3f));
        double[] dOutput = TestData.ToDouble(TestData.Normal(DType.Float32, 12, 3));
        (double[] dInput, double[] dBias) = GeluReference.Backward(kind.ToString(), dOutput, input, bias, 3, 4);
        double Scalar() => CentralDifferences.Dot(dOutput, GeluReference.Forward(kind.ToString(), input, bias, 3, 4));
        CentralDifferences.Assert(input, dInput, Scalar, "dInput");
        CentralDifferences.Assert(bias, dBias, Scalar, "dBias");
    }

    [Fact]
    public void WrongArgumentsAreRefusedByName()
    {
        Tensor input = backend.Poisoned(DType.Float32, new Shape(4, 8));
        Tensor bias = backend.Poisoned(DType.Float32, new Shape(7));
        ArgumentException e = Assert.Throws<ArgumentException>(() => Gelu.Forward(GeluKind.Erf, input, bias, input));
        Assert.Contains("bias is Float32 (7); it must be Float32 (8)", e.Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentOutOfRangeException>(() => Gelu.Forward((GeluKind)3, input, default, input));
    }

    protected static Tensor RunForward(Backend backend, GeluKind kind, Inputs x)
    {
        Tensor output = backend.Poisoned(x.DType, new Shape(x.N, x.C));
        Gelu.Forward(
            kind,
            backend.Upload(x.DType, new Shape(x.N, x.C), x.Input),
            backend.Upload(DType.Float32, new Shape(x.C), x.Bias),
            output);
        return output;
    }

    protected static (Tensor DInput, Tensor DBias) RunBackward(Backend backend, GeluKind kind, Inputs x)
    {
        Shape shape = new(x.N, x.C);
        Tensor dInput = backend.Poisoned(x.DType, shape);
        Tensor dBias = backend.Upload(DType.Float32, new Shape(x.C), x.DBiasBefore);
        Gelu.Backward(
            kind,
            backend.Upload(x.DType, shape, x.DOutput),
            backend.Upload(x.DType, shape, x.Input),
            backend.Upload(DType.Float32, new Shape(x.C), x.Bias),
            dInput,
            dBias);
        return (dInput, dBias);
    }

    protected sealed record Inputs(DType DType, int N, int C)
    {
        public float[] Input { get; } = TestData.Normal(DType, (long)N * C, 1, 2);

        public float[] Bias { get; } = TestData.Normal(DType.Float32, C, 2, 0.3f);

        public float[] DOutput { get; } = TestData.Normal(DType, (long)N * C, 3);

        public float[] DBiasBefore { get; } = TestData.Normal(DType.Float32, C, 4);

        public double[] ExpectedForward(GeluKind kind) =>
            GeluReference.Forward(kind.ToString(), TestData.ToDouble(Input), TestData.ToDouble(Bias), N, C);

        public float[] TwinForward(GeluKind kind) => GeluReference.Forward(kind.ToString(), Input, Bias, N, C);

        public (double[] DInput, double[] DBias) ExpectedBackward(GeluKind kind) =>
            GeluReference.Backward(kind.ToString(), TestData.ToDouble(DOutput), TestData.ToDouble(Input), TestData.ToDouble(Bias), N, C);
    }
}

public sealed class CpuGeluTests(CpuBackend backend) : GeluTests(backend), IClassFixture<CpuBackend>
{
    private readonly CpuBackend _backend = backend;

    [Fact]
    public void AnyNumberOfThreadsGivesTheSameBits() => Repeatability.AssertSameBitsForAnyThreadCount(b =>
    {
        Inputs x = new(DType.Float32, 1000, 50);
        (Tensor dInput, Tensor dBias) = RunBackward(b, GeluKind.Erf, x);
        return [b.Download(RunForward(b, GeluKind.Erf, x)), b.Download(dInput), b.Download(dBias)];
    });

    [Fact]
    public void ACallAllocatesNothing()
    {
        Tensor x = _backend.Poisoned(DType.Float32, new Shape(500, 64));
        Tensor bias = _backend.Poisoned(DType.Float32, new Shape(64));
        Repeatability.AssertNoAllocation(() =>
        {
            Gelu.Forward(GeluKind.Erf, x, bias, x);
            Gelu.Backward(GeluKind.Erf, x, x, bias, x, bias);
        });
    }
}

public sealed class EmulatedCudaForwardGeluTests(EmulatedCudaForward backend) : GeluTests(backend), IClassFixture<EmulatedCudaForward>;

public sealed class EmulatedCudaReverseGeluTests(EmulatedCudaReverse backend) : GeluTests(backend), IClassFixture<EmulatedCudaReverse>;

public sealed class EmulatedCudaRandomGeluTests(EmulatedCudaRandom backend) : GeluTests(backend), IClassFixture<EmulatedCudaRandom>;

public sealed class CudaGeluTests(CudaBackend backend) : GeluTests(backend), IClassFixture<CudaBackend>;
