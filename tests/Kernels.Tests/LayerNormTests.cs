using CrossAlign.Kernels.Tests.Harness;
using CrossAlign.Reference;
using CrossAlign.Runtime;

namespace CrossAlign.Kernels.Tests;

public abstract class LayerNormTests(Backend backend)
{
    private const float Epsilon = 1e-5f;

    public static TheoryData<DType, int, int> Shapes()
    {
        TheoryData<DType, int, int> data = [];
        foreach (DType dtype in (DType[])[DType.Float32, DType.BFloat16])
        {
            foreach ((int n, int c) in ((int, int)[])[(0, 8), (1, 1), (2, 7), (3, 16), (17, 31), (33, 32), (5, 33), (64, 96), (131, 100), (7, 769), (40, 1100), (33_001, 3)])
            {
                data.Add(dtype, n, c);
            }
        }

        return data;
    }

    [Theory]
    [MemberData(nameof(Shapes))]
    public void ForwardIsWithinTheErrorBudget(DType dtype, int n, int c)
    {
        Case x = new(dtype, n, c);
        (double[] output, double[] mean, double[] rstd) = LayerNormReference.Forward(
            TestData.ToDouble(x.Input), TestData.ToDouble(x.Weight), TestData.ToDouble(x.Bias), n, c, (double)Epsilon);
        (float[] twin, float[] twinMean, float[] twinRstd) = LayerNormReference.Forward(x.Input, x.Weight, x.Bias, n, c, Epsilon);

        (Tensor dOutput, Tensor dMean, Tensor dRstd) = RunForward(x);

        ErrorBudget.AssertForward(output, twin, backend.Download(dOutput), dtype, "output");
        ErrorBudget.AssertForward(mean, twinMean, backend.Download(dMean), DType.Float32, "mean");
        ErrorBudget.AssertForward(rstd, twinRstd, backend.Download(dRstd), DType.Float32, "rstd");
        backend.CheckGuards();
    }

    [Theory]
    [MemberData(nameof(Shapes))]
    public void BackwardIsWithinTheErrorBudget(DType dtype, int n, int c) => AssertBackward(dtype, n, c, accumulateInput: false);

    [Theory]
    [InlineData(DType.Float32, 5, 33)]
    [InlineData(DType.Float32, 5, 264)]
    [InlineData(DType.BFloat16, 5, 33)]
    [InlineData(DType.BFloat16, 5, 264)]
    public void TheInputsGradientIsAddedToWhatIsThere(DType dtype, int n, int c) => AssertBackward(dtype, n, c, accumulateInput: true);

    [Theory]
    [InlineData(37)]
    [InlineData(264)]
    public void OfBFloat16OnlyTheResultIsRounded(int c)
    {
        const int N = 9;
        Case narrow = new(DType.BFloat16, N, c);
        Case wide = narrow with { DType = DType.Float32 };
        float[] dOutput = TestData.Normal(DType.BFloat16, N * c, 4);
        ResultRounding.AssertOnce(backend.Download(RunForward(wide).Output), backend.Download(RunForward(narrow).Output), "output");
        ResultRounding.AssertOnce(InputGradient(wide), InputGradient(narrow), "dInput");

        float[] InputGradient(Case x)
        {
            Shape shape = new(N, c);
            (_, Tensor mean, Tensor rstd) = RunForward(x);
            Tensor dInput = backend.Poisoned(x.DType, shape);
            Tensor weight = backend.Upload(DType.Float32, new Shape(c), x.Weight);
            LayerNorm.Backward(
                backend.Upload(x.DType, shape, dOutput), backend.Upload(x.DType, shape, x.Input), weight, mean, rstd, dInput, weight, weight);
            return backend.Download(dInput);
        }
    }

    private void AssertBackward(DType dtype, int n, int c, bool accumulateInput)
    {
        Case x = new(dtype, n, c);
        float[] dOutput = TestData.Normal(dtype, (long)n * c, 4);
        float[] dInputBefore = TestData.Normal(dtype, (long)n * c, 6);
        float[] dWeightBefore = TestData.Normal(DType.Float32, c, 5);
        (double[] dInput, double[] dWeight, double[] dBias) = LayerNormReference.Backward(
            TestData.ToDouble(dOutput), TestData.ToDouble(x.Input), TestData.ToDouble(x.Weight), n, c, (double)Epsilon);
        (float[] twinInput, float[] twinWeight, float[] twinBias) = LayerNormReference.Backward(dOutput, x.Input, x.Weight, n, c, Epsilon);
        if (accumulateInput)
        {
            AddTo(dInput, twinInput, dInputBefore);
        }

        AddTo(dWeight, twinWeight, dWeightBefore);
        AddTo(dBias, twinBias, dWeightBefore);

        (_, Tensor mean, Tensor rstd) = RunForward(x);
        Tensor actualInput = accumulateInput ? backend.Upload(dtype, new Shape(n, c), dInputBefore) : backend.Poisoned(dtype, new Shape(n, c));
        Tensor actualWeight = backend.Upload(DType.Float32, new Shape(c), dWeightBefore);
        Tensor actualBias = backend.Upload(DType.Float32, new Shape(c), dWeightBefore);
        LayerNorm.Backward(
            backend.Upload(dtype, new Shape(n, c), dOutput),
            backend.Upload(dtype, new Shape(n, c), x.Input),
            backend.Upload(DType.Float32, new Shape(c), x.Weight),
            mean,
            rstd,
            actualInput,
            actualWeight,
            actualBias,
            accumulateInput);

        ErrorBudget.AssertBackward(dInput, twinInput, backend.Download(actualInput), dtype, "dInput");
        ErrorBudget.AssertBackward(dWeight, twinWeight, backend.Download(actualWeight), DType.Float32, "dWeight");
        ErrorBudget.AssertBackward(dBias, twinBias, backend.Download(actualBias), DType.Float32, "dBias");
        backend.CheckGuards();
    }

    [Theory]
    [InlineData(DType.Float32)]
    [InlineData(DType.BFloat16)]
    public void AViewThatLiesAskewIsNormalisedAsOneThatDoesNot(DType dtype) => backend.WithEachTensorAskew(() =>
    {
        ForwardIsWithinTheErrorBudget(dtype, 3, 136);
        BackwardIsWithinTheErrorBudget(dtype, 3, 136);
        TheResidualFormIsWithinTheErrorBudget(dtype, 3, 136);
    });

    [Fact]
    public void TheResidualFormNormalisesTheSum()
    {
        // Whole numbers add without rounding, so the two forms must agree to the bit.
        Shape shape = new(9, 40);
        float[] a = TestData.Whole(shape.Count, 1);
        float[] b = TestData.Whole(shape.Count, 2);
        float[] both = a.Zip(b, (x, y) => x + y).ToArray();
        Case plain = new(DType.Float32, 9, 40) { Input = both };
        (Tensor expected, _, _) = RunForward(plain);

        Tensor sum = backend.Poisoned(DType.Float32, shape);
        Tensor output = backend.Poisoned(DType.Float32, shape);
        LayerNorm.Forward(
            backend.Upload(DType.Float32, shape, a),
            backend.Upload(DType.Float32, shape, b),
            sum,
            backend.Upload(DType.Float32, new Shape(40), plain.Weight),
            backend.Upload(DType.Float32, new Shape(40), plain.Bias),
            output,
            backend.Poisoned(DType.Float32, new Shape(9)),
            backend.Poisoned(DType.Float32, new Shape(9)),
            Epsilon);

        Assert.Equal(both, backend.Download(sum));
        Assert.Equal(backend.Download(expected), backend.Download(output));
    }

    [Theory]
    [InlineData(DType.Float32, 5, 37)]
    [InlineData(DType.Float32, 5, 264)]
    [InlineData(DType.BFloat16, 5, 37)]
    [InlineData(DType.BFloat16, 5, 264)]
    public void TheResidualFormIsWithinTheErrorBudget(DType dtype, int n, int c)
    {
        Case x = new(dtype, n, c);
        float[] residual = TestData.Normal(dtype, (long)n * c, 6);
        float[] both = [.. x.Input.Zip(residual, (a, b) => dtype == DType.BFloat16 ? BFloat16.FromSingle(a + b).ToSingle() : a + b)];
        (double[] output, double[] mean, double[] rstd) = LayerNormReference.Forward(
            TestData.ToDouble(both), TestData.ToDouble(x.Weight), TestData.ToDouble(x.Bias), n, c, (double)Epsilon);
        (float[] twin, float[] twinMean, float[] twinRstd) = LayerNormReference.Forward(both, x.Weight, x.Bias, n, c, Epsilon);
        Shape shape = new(n, c);
        Tensor sum = backend.Poisoned(dtype, shape);
        Tensor actual = backend.Poisoned(dtype, shape);
        Tensor actualMean = backend.Poisoned(DType.Float32, new Shape(n));
        Tensor actualRstd = backend.Poisoned(DType.Float32, new Shape(n));
        LayerNorm.Forward(
            backend.Upload(dtype, shape, x.Input),
            backend.Upload(dtype, shape, residual),
            sum,
            backend.Upload(DType.Float32, new Shape(c), x.Weight),
            backend.Upload(DType.Float32, new Shape(c), x.Bias),
            actual,
            actualMean,
            actualRstd,
            Epsilon);

        // The statistics are those of the sum as it is stored, which the backward pass reads.
        Assert.Equal(both, backend.Download(sum));
        ErrorBudget.AssertForward(output, twin, backend.Download(actual), dtype, "output");
        ErrorBudget.AssertForward(mean, twinMean, backend.Download(actualMean), DType.Float32, "mean");
        ErrorBudget.AssertForward(rstd, twinRstd, backend.Download(actualRstd), DType.Float32, "rstd");
        backend.CheckGuards();
    }

    [Fact]
    public void TheSameInputGivesTheSameBits()
    {
        Case x = new(DType.Float32, 131, 100);
        (Tensor first, _, _) = RunForward(x);
        (Tensor second, _, _) = RunForward(x);
        Assert.Equal(backend.Download(first), backend.Download(second));
    }

    [Fact]
    public void AWrongShapeIsRefusedByName()
    {
        Case x = new(DType.Float32, 4, 8);
        Tensor perRow = backend.Poisoned(DType.Float32, new Shape(4));
        Tensor input = backend.Upload(DType.Float32, new Shape(4, 8), x.Input);
        Tensor bias = backend.Upload(DType.Float32, new Shape(8), x.Bias);
        ArgumentException e = Assert.Throws<ArgumentException>(
            () => LayerNorm.Forward(input, bias.Rows(0, 7), bias, input, perRow, perRow, Epsilon));
        Assert.Contains("weight is Float32 (7); it must be Float32 (8)", e.Message, StringComparison.Ordinal);
    }

    private (Tensor Output, Tensor Mean, Tensor Rstd) RunForward(Case x)
    {
        Shape shape = new(x.N, x.C);
        Tensor output = backend.Poisoned(x.DType, shape);
        Tensor mean = backend.Poisoned(DType.Float32, new Shape(x.N));
        Tensor rstd = backend.Poisoned(DType.Float32, new Shape(x.N));
        LayerNorm.Forward(
            backend.Upload(x.DType, shape, x.Input),
            backend.Upload(DType.Float32, new Shape(x.C), x.Weight),
            backend.Upload(DType.Float32, new Shape(x.C), x.Bias),
            output,
            mean,
            rstd,
            Epsilon);
        return (output, mean, rstd);
    }

    private static void AddTo(double[] reference, float[] twin, float[] before)
    {
        for (int i = 0; i < before.Length; i++)
        {
            reference[i] += before[i];
            twin[i] += before[i];
        }
    }

    private sealed record Case(DType DType, int N, int C)
    {
        public float[] Input { get; init; } = TestData.Normal(DType, (long)N * C, 1, 2, 0.5f);

        public float[] Weight { get; } = TestData.Normal(DType.Float32, C, 2, 0.2f, 1);

        public float[] Bias { get; } = TestData.Normal(DType.Float32, C, 3, 0.1f);
    }
}

public sealed class CpuLayerNormTests(CpuBackend backend) : LayerNormTests(backend), IClassFixture<CpuBackend>;

public sealed class EmulatedCudaForwardLayerNormTests(EmulatedCudaForward backend) : LayerNormTests(backend), IClassFixture<EmulatedCudaForward>;

public sealed class EmulatedCudaReverseLayerNormTests(EmulatedCudaReverse backend) : LayerNormTests(backend), IClassFixture<EmulatedCudaReverse>;

public sealed class EmulatedCudaRandomLayerNormTests(EmulatedCudaRandom backend) : LayerNormTests(backend), IClassFixture<EmulatedCudaRandom>;

public sealed class CudaLayerNormTests(CudaBackend backend) : LayerNormTests(backend), IClassFixture<CudaBackend>;
