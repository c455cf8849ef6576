using CrossAlign.Kernels.Tests.Harness;
using CrossAlign.Reference;
using CrossAlign.Runtime;

namespace CrossAlign.Kernels.Tests;

public abstract class L2NormTests(Backend backend)
{
    public static TheoryData<DType, int, int, float> Cases()
    {
        TheoryData<DType, int, int, float> data = [];
        foreach (DType dtype in (DType[])[DType.Float32, DType.BFloat16])
        {
            foreach ((int b, int e) in ((int, int)[])[(0, 8), (1, 1), (2, 7), (3, 16), (17, 31), (33, 32), (5, 33), (129, 40), (33, 512)])
            {
                data.Add(dtype, b, e, 1);
            }

            // The squares leave the range of floats, the rows do not.
            data.Add(dtype, 3, 37, 1e25f);
            data.Add(dtype, 3, 37, 1e-25f);

            // Or they are subnormal, with few bits left.
            data.Add(dtype, 3, 37, 1e-21f);
        }

        return data;
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void ForwardIsWithinTheErrorBudget(DType dtype, int b, int e, float scale)
    {
        float[] input = TestData.Normal(dtype, (long)b * e, 1, scale);
        Tensor output = backend.Poisoned(dtype, new Shape(b, e));
        Tensor norm = backend.Poisoned(DType.Float32, new Shape(b));
        L2Norm.Forward(backend.Upload(dtype, new Shape(b, e), input), output, norm);
        (double[] expected, double[] expectedNorm) = L2NormReference.Forward(TestData.ToDouble(input), b, e);

        // The naive twin overflows for the extreme rows: there the budget is the last places alone.
        (float[] twin, float[] twinNorm) = scale == 1
            ? L2NormReference.Forward(input, b, e)
            : (Array.ConvertAll(expected, v => (float)v), Array.ConvertAll(expectedNorm, v => (float)v));
        ErrorBudget.AssertForward(expected, twin, backend.Download(output), dtype, "output");
        ErrorBudget.AssertForward(expectedNorm, twinNorm, backend.Download(norm), DType.Float32, "norm");
        backend.CheckGuards();
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void BackwardIsWithinTheErrorBudget(DType dtype, int b, int e, float scale)
    {
        float[] input = TestData.Normal(dtype, (long)b * e, 1);
        float[] dOutput = TestData.Normal(dtype, (long)b * e, 2, Math.Min(scale, 1e10f));
        (double[] output, double[] norm) = L2NormReference.Forward(TestData.ToDouble(input), b, e);
        float[] roundedOutput = Array.ConvertAll(output, v => dtype == DType.BFloat16 ? BFloat16.FromSingle((float)v).ToSingle() : (float)v);
        float[] roundedNorm = Array.ConvertAll(norm, v => (float)v);
        Tensor dInput = backend.Poisoned(dtype, new Shape(b, e));
        L2Norm.Backward(
            backend.Upload(dtype, new Shape(b, e), dOutput),
            backend.Upload(dtype, new Shape(b, e), roundedOutput),
            backend.Upload(DType.Float32, new Shape(b), roundedNorm),
            dInput);
        double[] expected = L2NormReference.Backward(TestData.ToDouble(dOutput), TestData.ToDouble(input), b, e);
        float[] twin = L2NormReference.Backward(dOutput, input, b, e);
        if (dtype == DType.BFloat16)
        {
            // What is stored is the rounded output; the same formula on it is what the twin must show.
            twin = FromOutput(dOutput, roundedOutput, roundedNorm, e);
        }

        ErrorBudget.AssertBackward(expected, twin, backend.Download(dInput), dtype, "dInput");
        backend.CheckGuards();
    }

    [Theory]
    [InlineData(DType.Float32)]
    [InlineData(DType.BFloat16)]
    public void AViewThatLiesAskewIsNormalisedAsOneThatDoesNot(DType dtype) => backend.WithEachTensorAskew(() =>
    {
        ForwardIsWithinTheErrorBudget(dtype, 3, 296, 1);
        BackwardIsWithinTheErrorBudget(dtype, 3, 296, 1);
    });

    [Theory]
    [InlineData(37)]
    [InlineData(296)]
    public void OfBFloat16OnlyTheResultIsRounded(int e)
    {
        const int B = 9;
        float[] input = TestData.Normal(DType.BFloat16, B * e, 1);
        float[] dOutput = TestData.Normal(DType.BFloat16, B * e, 2);
        (double[] exact, double[] exactNorm) = L2NormReference.Forward(TestData.ToDouble(input), B, e);
        float[] normalised = Array.ConvertAll(exact, v => BFloat16.FromSingle((float)v).ToSingle());
        float[] norms = Array.ConvertAll(exactNorm, v => (float)v);
        ResultRounding.AssertOnce(Run(DType.Float32).Output, Run(DType.BFloat16).Output, "output");
        ResultRounding.AssertOnce(Run(DType.Float32).DInput, Run(DType.BFloat16).DInput, "dInput");

        (float[] Output, float[] DInput) Run(DType dtype)
        {
            Shape shape = new(B, e);
            Tensor output = backend.Poisoned(dtype, shape);
            Tensor dInput = backend.Poisoned(dtype, shape);
            L2Norm.Forward(backend.Upload(dtype, shape, input), output, backend.Poisoned(DType.Float32, new Shape(B)));
            L2Norm.Backward(
                backend.Upload(dtype, shape, dOutput), backend.Upload(dtype, shape, normalised), backend.Upload(DType.Float32, new Shape(B), norms), dInput);
            return (backend.Download(output), backend.Download(dInput));
        }
    }

    [Fact]
    public void ARowOfZerosGivesZerosBothWays()
    {
        float[] rows = [3, 4, 0, 0, 0, -2];
        Tensor input = backend.Upload(DType.Float32, new Shape(3, 2), rows);
        Tensor output = backend.Poisoned(DType.Float32, new Shape(3, 2));
        Tensor norm = backend.Poisoned(DType.Float32, new Shape(3));
        Tensor dInput = backend.Poisoned(DType.Float32, new Shape(3, 2));
        L2Norm.Forward(input, output, norm);
        L2Norm.Backward(backend.Upload(DType.Float32, new Shape(3, 2), [1, 1, 1, 1, 1, 1]), output, norm, dInput);
        Assert.Equal([5f, 0f, 2f], backend.Download(norm));
        Assert.Equal([0f, 0f], backend.Download(output)[2..4]);
        Assert.Equal([0f, 0f], backend.Download(dInput)[2..4]);
        Assert.Equal([0.5f, 0f], backend.Download(dInput)[4..6]);
    }

    [Fact]
    public void ANotANumberStaysInItsRow()
    {
        Tensor tensor = backend.Upload(DType.Float32, new Shape(2, 3), [1, float.NaN, 2, 3, 4, 0]);
        Tensor norm = backend.Poisoned(DType.Float32, new Shape(2));
        L2Norm.Forward(tensor, tensor, norm);
        Assert.All(backend.Download(tensor)[..3], v => Assert.True(float.IsNaN(v)));
        ErrorBudget.AssertForward([0.6, 0.8, 0], [0.6f, 0.8f, 0], backend.Download(tensor)[3..], DType.Float32, "output");
    }

    [Fact]
    public void TheReferencesGradientIsProven()
    {
        double[] input = TestData.ToDouble(TestData.Normal(DType.Float32, 3 * 5, 1));
        double[] dOutput = TestData.ToDouble(TestData.Normal(DType.Float32, 3 * 5, 2));
        CentralDifferences.Assert(
            input,
            L2NormReference.Backward(dOutput, input, 3, 5),
            () => CentralDifferences.Dot(dOutput, L2NormReference.Forward(input, 3, 5).Output),
            "dInput");
    }

    [Fact]
    public void AnEpsilonInTheLengthIsRejected()
    {
        float[] input = TestData.Normal(DType.Float32, 4 * 16, 1);
        (double[] expected, double[] norm) = L2NormReference.Forward(TestData.ToDouble(input), 4, 16);
        (float[] twin, _) = L2NormReference.Forward(input, 4, 16);
        float[] wrong = [.. input.Select((v, i) => (float)(v / (norm[i / 16] + 1e-5)))];
        Assert.NotNull(ErrorBudget.Explain(expected, twin, wrong, DType.Float32, ErrorBudget.ForwardFactor, "output"));
    }

    [Fact]
    public void WrongShapesAreRefusedByName()
    {
        Tensor input = backend.Poisoned(DType.Float32, new Shape(4, 8));
        Tensor norm = backend.Poisoned(DType.Float32, new Shape(3));
        ArgumentException e = Assert.Throws<ArgumentException>(() => L2Norm.Forward(input, input, norm));
        Assert.Contains("norm is Float32 (3); it must be Float32 (4)", e.Message, StringComparison.Ordinal);
    }

    private static float[] FromOutput(float[] dOutput, float[] output, float[] norm, int e)
    {
        float[] dInput = new float[dOutput.Length];
        for (int i = 0; i < dInput.Length; i++)
        {
            float dot = 0;
            for (int j = i / e * e; j < (i / e * e) + e; j++)
            {
                dot += dOutput[j] * output[j];
            }

            dInput[i] = (dOutput[i] - (output[i] * dot)) / norm[i / e];
        }

        return dInput;
    }
}

public sealed class CpuL2NormTests(CpuBackend backend) : L2NormTests(backend), IClassFixture<CpuBackend>
{
    private readonly CpuBackend _backend = backend;

    [Fact]
    public void AnyNumberOfThreadsGivesTheSameBits() => Repeatability.AssertSameBitsForAnyThreadCount(b =>
    {
        Shape shape = new(2000, 33);
        Tensor x = b.Upload(DType.Float32, shape, TestData.Normal(DType.Float32, shape.Count, 1));
        Tensor norm = b.Poisoned(DType.Float32, new Shape(2000));
        Tensor dInput = b.Upload(DType.Float32, shape, TestData.Normal(DType.Float32, shape.Count, 2));
        L2Norm.Forward(x, x, norm);
        L2Norm.Backward(dInput, x, norm, dInput);
        return [b.Download(x), b.Download(norm), b.Download(dInput)];
    });

    [Fact]
    public void ACallAllocatesNothing()
    {
        Tensor x = _backend.Poisoned(DType.Float32, new Shape(200, 512));
        Tensor norm = _backend.Poisoned(DType.Float32, new Shape(200));
        Repeatability.AssertNoAllocation(() =>
        {
            L2Norm.Forward(x, x, norm);
            L2Norm.Backward(x, x, norm, x);
        });
    }
}

public sealed class EmulatedCudaForwardL2NormTests(EmulatedCudaForward backend) : L2NormTests(backend), IClassFixture<EmulatedCudaForward>;

public sealed class EmulatedCudaReverseL2NormTests(EmulatedCudaReverse backend) : L2NormTests(backend), IClassFixture<EmulatedCudaReverse>;

public sealed class EmulatedCudaRandomL2NormTests(EmulatedCudaRandom backend) : L2NormTests(backend), IClassFixture<EmulatedCudaRandom>;

public sealed class CudaL2NormTests(CudaBackend backend) : L2NormTests(backend), IClassFixture<CudaBackend>;
