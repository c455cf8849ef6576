using CrossAlign.Kernels.Tests.Harness;
using CrossAlign.Reference;
using CrossAlign.Runtime;

namespace CrossAlign.Kernels.Tests;

public abstract class LinearTests(Backend backend)
{
    public static TheoryData<DType, int, int, int> Shapes()
    {
        TheoryData<DType, int, int, int> data = [];
        foreach (DType dtype in (DType[])[DType.Float32, DType.BFloat16])
        {
            foreach ((int n, int i, int o) in ((int, int, int)[])[(0, 8, 8), (1, 1, 1), (2, 7, 5), (31, 33, 32), (67, 48, 33), (200, 96, 64), (131, 400, 17), (3, 5, 301), (35, 8, 1100)])
            {
                data.Add(dtype, n, i, o);
            }
        }

        return data;
    }

    [Theory]
    [MemberData(nameof(Shapes))]
    public void ForwardIsWithinTheErrorBudget(DType dtype, int n, int inputs, int outputs)
    {
        Case x = new(dtype, n, inputs, outputs);
        foreach (float[] bias in (float[][])[x.Bias, []])
        {
            double[] expected = LinearReference.Forward(
                TestData.ToDouble(x.Input), TestData.ToDouble(x.Weight), TestData.ToDouble(bias), n, inputs, outputs);
            float[] twin = LinearReference.Forward(x.Input, x.Weight, bias, n, inputs, outputs);
            Tensor output = backend.Poisoned(dtype, new Shape(n, outputs));
            Linear.Forward(
                backend.Upload(dtype, new Shape(n, inputs), x.Input),
                backend.Upload(DType.Float32, new Shape(outputs, inputs), x.Weight),
                bias.Length == 0 ? default : backend.Upload(DType.Float32, new Shape(outputs), bias),
                output);
            ErrorBudget.AssertForward(expected, twin, backend.Download(output), dtype, "output");
        }

        backend.CheckGuards();
    }

    [Theory]
    [MemberData(nameof(Shapes))]
    public void BackwardIsWithinTheErrorBudget(DType dtype, int n, int inputs, int outputs)
    {
        Case x = new(dtype, n, inputs, outputs);
        float[] dOutput = TestData.Normal(dtype, (long)n * outputs, 4);
        float[] inputBefore = TestData.Normal(dtype, (long)n * inputs, 5);
        float[] weightBefore = TestData.Normal(DType.Float32, (long)outputs * inputs, 6);
        (double[] dInput, double[] dWeight, double[] dBias) = LinearReference.Backward(
            TestData.ToDouble(dOutput), TestData.ToDouble(x.Input), TestData.ToDouble(x.Weight), n, inputs, outputs);
        (float[] twinInput, float[] twinWeight, float[] twinBias) = LinearReference.Backward(dOutput, x.Input, x.Weight, n, inputs, outputs);
        Add(dWeight, twinWeight, weightBefore);
        Add(dBias, twinBias, x.Bias);

        Tensor gradient = backend.Upload(dtype, new Shape(n, outputs), dOutput);
        Tensor input = backend.Upload(dtype, new Shape(n, inputs), x.Input);
        Tensor weight = backend.Upload(DType.Float32, new Shape(outputs, inputs), x.Weight);
        Tensor actualInput = backend.Poisoned(dtype, new Shape(n, inputs));
        Tensor actualWeight = backend.Upload(DType.Float32, new Shape(outputs, inputs), weightBefore);
        Tensor actualBias = backend.Upload(DType.Float32, new Shape(outputs), x.Bias);
        Linear.Backward(gradient, input, weight, actualInput, actualWeight, actualBias);
        ErrorBudget.AssertBackward(dInput, twinInput, backend.Download(actualInput), dtype, "dInput");
        ErrorBudget.AssertBackward(dWeight, twinWeight, backend.Download(actualWeight), DType.Float32, "dWeight");
        ErrorBudget.AssertBackward(dBias, twinBias, backend.Download(actualBias), DType.Float32, "dBias");

        // Each gradient alone, and the input's added to what is there.
        Tensor sum = backend.Upload(dtype, new Shape(n, inputs), inputBefore);
        Add(dInput, twinInput, inputBefore);
        Linear.Backward(gradient, default, weight, sum, default, default, accumulateInput: true);
        ErrorBudget.AssertBackward(dInput, twinInput, backend.Download(sum), dtype, "dInput, accumulated");
        Tensor onlyBias = backend.Upload(DType.Float32, new Shape(outputs), x.Bias);
        Linear.Backward(gradient, default, weight, default, default, onlyBias);
        Assert.Equal(backend.Download(actualBias), backend.Download(onlyBias));
        backend.CheckGuards();
    }

    [Theory]
    [InlineData(DType.Float32)]
    [InlineData(DType.BFloat16)]
    public void RowsBeyondTheFirstRoundOfBlocksAreSummed(DType dtype)
    {
        // Whole numbers: the sums are exact.
        const int N = 33_001, Outputs = 3;
        float[] dOutput = TestData.Whole(N * Outputs, 1);
        float[] expected = new float[Outputs];
        for (int i = 0; i < dOutput.Length; i++)
        {
            expected[i % Outputs] += dOutput[i];
        }

        Tensor dBias = backend.Upload(DType.Float32, new Shape(Outputs), new float[Outputs]);
        Tensor weight = backend.Upload(DType.Float32, new Shape(Outputs, 1), new float[Outputs]);
        Linear.Backward(backend.Upload(dtype, new Shape(N, Outputs), dOutput), default, weight, default, default, dBias);
        Assert.Equal(expected, backend.Download(dBias));
    }

    [Theory]
    [InlineData(DType.Float32)]
    [InlineData(DType.BFloat16)]
    public void AViewThatLiesAskewIsMultipliedAsOneThatDoesNot(DType dtype) => backend.WithEachTensorAskew(() =>
    {
        ForwardIsWithinTheErrorBudget(dtype, 9, 16, 24);
        BackwardIsWithinTheErrorBudget(dtype, 9, 16, 24);
    });

    [Fact]
    public void TheReferencesGradientsAreTheDerivatives()
    {
        const int N = 3, Inputs = 4, Outputs = 5;
        double[] input = TestData.ToDouble(TestData.Normal(DType.Float32, N * Inputs, 1));
        double[] weight = TestData.ToDouble(TestData.Normal(DType.Float32, Outputs * Inputs, 2));
        double[] bias = TestData.ToDouble(TestData.Normal(DType.Float32, Outputs, 3));
        double[] dOutput = TestData.ToDouble(TestData.Normal(DType.Float32, N * Outputs, 4));
        (double[] dInput, double[] dWeight, double[] dBias) = LinearReference.Backward(dOutput, input, weight, N, Inputs, Outputs);
        AssertDerivative(input, dInput);
        AssertDerivative(weight, dWeight);
        AssertDerivative(bias, dBias);

        void AssertDerivative(double[] values, double[] gradient)
        {
            const double H = 1e-5;
            for (int i = 0; i < values.Length; i++)
            {
                double value = values[i];
                values[i] = value + H;
                double above = Loss();
                values[i] = value - H;
                double below = Loss();
                values[i] = value;
                Assert.Equal(gradient[i], (above - below) / (2 * H), 1e-8);
            }
        }

        double Loss() => LinearReference.Forward(input, weight, bias, N, Inputs, Outputs).Zip(dOutput, (y, g) => y * g).Sum();
    }

    [Fact]
    public void AWrongShapeIsRefusedByName()
    {
        Tensor input = backend.Poisoned(DType.Float32, new Shape(4, 8));
        Tensor weight = backend.Poisoned(DType.Float32, new Shape(3, 8));
        Tensor output = backend.Poisoned(DType.Float32, new Shape(4, 3));
        ArgumentException e = Assert.Throws<ArgumentException>(() => Linear.Forward(input, weight, input, output));
        Assert.Contains("bias is Float32 (4, 8); it must be Float32 (3)", e.Message, StringComparison.Ordinal);
        e = Assert.Throws<ArgumentException>(() => Linear.Backward(output, default, weight, default, weight, default));
        Assert.Contains("input is absent", e.Message, StringComparison.Ordinal);
        e = Assert.Throws<ArgumentException>(() => Linear.Backward(output, input, weight, output, default, default));
        Assert.Contains("dInput is Float32 (4, 3); it must be Float32 (4, 8)", e.Message, StringComparison.Ordinal);
    }

    private static void Add(double[] reference, float[] twin, float[] before)
    {
        for (int i = 0; i < before.Length; i++)
        {
            reference[i] += before[i];
            twin[i] += before[i];
        }
    }

    private sealed record Case(DType DType, int N, int Inputs, int Outputs)
    {
        public float[] Input { get; } = TestData.Normal(DType, (long)N * Inputs, 1);

        public float[] Weight { get; } = TestData.Normal(DType.Float32, (long)Outputs * Inputs, 2, 0.1f);

        public float[] Bias { get; } = TestData.Normal(DType.Float32, Outputs, 3);
    }
}

public sealed class CpuLinearTests(CpuBackend backend) : LinearTests(backend), IClassFixture<CpuBackend>
{
    [Fact]
    public void AnyNumberOfThreadsGivesTheSameBits()
    {
        const int N = 1000, Inputs = 96, Outputs = 130;
        float[] input = TestData.Normal(DType.Float32, N * Inputs, 1);
        float[] weight = TestData.Normal(DType.Float32, Outputs * Inputs, 2);
        float[] dOutput = TestData.Normal(DType.Float32, N * Outputs, 3);
        float[][]? first = null;
        foreach (int threads in (int[])[1, 2, 3, 5])
        {
            using CpuBackend cpu = new(threads);
            Tensor x = cpu.Upload(DType.Float32, new Shape(N, Inputs), input);
            Tensor w = cpu.Upload(DType.Float32, new Shape(Outputs, Inputs), weight);
            Tensor y = cpu.Poisoned(DType.Float32, new Shape(N, Outputs));
            Tensor dx = cpu.Poisoned(DType.Float32, new Shape(N, Inputs));
            Tensor dw = cpu.Upload(DType.Float32, new Shape(Outputs, Inputs), weight);
            Tensor db = cpu.Upload(DType.Float32, new Shape(Outputs), new float[Outputs]);
            Linear.Forward(x, w, default, y);
            Linear.Backward(cpu.Upload(DType.Float32, new Shape(N, Outputs), dOutput), x, w, dx, dw, db);
            float[][] values = [cpu.Download(y), cpu.Download(dx), cpu.Download(dw), cpu.Download(db)];
            first ??= values;
            Assert.Equal(first, values);
        }
    }
}

public sealed class EmulatedCudaForwardLinearTests(EmulatedCudaForward backend) : LinearTests(backend), IClassFixture<EmulatedCudaForward>;

public sealed class EmulatedCudaReverseLinearTests(EmulatedCudaReverse backend) : LinearTests(backend), IClassFixture<EmulatedCudaReverse>;

public sealed class EmulatedCudaRandomLinearTests(EmulatedCudaRandom backend) : LinearTests(backend), IClassFixture<EmulatedCudaRandom>;

public sealed class EmulatedCudaCublasLinearTests(EmulatedCudaCublas backend) : LinearTests(backend), IClassFixture<EmulatedCudaCublas>;

public sealed class CudaLinearTests(CudaBackend backend) : LinearTests(backend), IClassFixture<CudaBackend>;
