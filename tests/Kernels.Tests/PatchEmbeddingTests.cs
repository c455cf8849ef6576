using CrossAlign.Kernels.Tests.Harness;
using CrossAlign.Reference;
using CrossAlign.Runtime;

namespace CrossAlign.Kernels.Tests;

public abstract class PatchEmbeddingTests(Backend backend)
{
    protected Backend Backend { get; } = backend;

    public static TheoryData<DType, int, int, int, int, int> Shapes()
    {
        TheoryData<DType, int, int, int, int, int> data = [];
        foreach (DType dtype in (DType[])[DType.Float32, DType.BFloat16])
        {
            foreach ((int b, int h, int w, int p, int c) in ((int, int, int, int, int)[])[(0, 8, 8, 4, 8), (1, 1, 1, 1, 1), (2, 6, 9, 3, 7), (3, 16, 8, 8, 33), (5, 32, 32, 8, 48), (9, 56, 64, 4, 20), (2, 4, 4, 2, 301), (2, 4, 4, 2, 1100)])
            {
                data.Add(dtype, b, h, w, p, c);
            }
        }

        return data;
    }

    [Theory]
    [MemberData(nameof(Shapes))]
    public void ForwardIsWithinTheErrorBudget(DType dtype, int b, int h, int w, int p, int c)
    {
        Embedding x = new(new PatchEmbeddingReference.Pictures(b, h, w, p, c));
        foreach (float[] bias in (float[][])[x.Bias, []])
        {
            double[] expected = PatchEmbeddingReference.Forward(
                x.Shape, TestData.ToDouble(x.Pixels), TestData.ToDouble(x.Weight), TestData.ToDouble(bias), TestData.ToDouble(x.ClassToken), TestData.ToDouble(x.Position));
            float[] twin = PatchEmbeddingReference.Forward(x.Shape, x.Pixels, x.Weight, bias, x.ClassToken, x.Position);
            ErrorBudget.AssertForward(expected, twin, Backend.Download(RunForward(x, bias, dtype)), dtype, "output");
        }

        Backend.CheckGuards();
    }

    [Theory]
    [MemberData(nameof(Shapes))]
    public void BackwardIsWithinTheErrorBudget(DType dtype, int b, int h, int w, int p, int c)
    {
        Embedding x = new(new PatchEmbeddingReference.Pictures(b, h, w, p, c));
        float[] dOutput = TestData.Normal(dtype, (long)b * (1 + x.Shape.L) * c, 9);
        (double[] dWeight, double[] dBias, double[] dClassToken, double[] dPosition) =
            PatchEmbeddingReference.Backward(x.Shape, TestData.ToDouble(dOutput), TestData.ToDouble(x.Pixels));
        (float[] twinWeight, float[] twinBias, float[] twinClassToken, float[] twinPosition) =
            PatchEmbeddingReference.Backward(x.Shape, dOutput, x.Pixels);
        Add(dWeight, twinWeight, x.Weight);
        Add(dBias, twinBias, x.Bias);
        Add(dClassToken, twinClassToken, x.ClassToken);
        Add(dPosition, twinPosition, x.Position);

        // What is there already is added to: the parameters themselves serve as that.
        Tensor gradient = Backend.Upload(dtype, new Shape(b * (1 + x.Shape.L), c), dOutput);
        Tensor actualWeight = x.UploadWeight(Backend);
        Tensor actualBias = x.UploadChannels(Backend, x.Bias);
        Tensor actualClassToken = x.UploadChannels(Backend, x.ClassToken);
        Tensor actualPosition = x.UploadPosition(Backend);
        Tensor pixels = x.UploadPixels(Backend);
        PatchEmbedding.Backward(gradient, pixels, actualWeight, actualBias, actualClassToken, actualPosition, p);
        ErrorBudget.AssertBackward(dWeight, twinWeight, Backend.Download(actualWeight), DType.Float32, "dWeight");
        ErrorBudget.AssertBackward(dBias, twinBias, Backend.Download(actualBias), DType.Float32, "dBias");
        ErrorBudget.AssertBackward(dClassToken, twinClassToken, Backend.Download(actualClassToken), DType.Float32, "dClassToken");
        ErrorBudget.AssertBackward(dPosition, twinPosition, Backend.Download(actualPosition), DType.Float32, "dPosition");

        Tensor onlyPosition = x.UploadPosition(Backend);
        PatchEmbedding.Backward(gradient, pixels, default, default, default, onlyPosition, p);
        Assert.Equal(Backend.Download(actualPosition), Backend.Download(onlyPosition));
        Backend.CheckGuards();
    }

    [Theory]
    [InlineData(DType.Float32)]
    [InlineData(DType.BFloat16)]
    public void AViewThatLiesAskewIsEmbeddedAsOneThatDoesNot(DType dtype) => Backend.WithEachTensorAskew(() =>
    {
        ForwardIsWithinTheErrorBudget(dtype, 2, 8, 8, 4, 24);
        BackwardIsWithinTheErrorBudget(dtype, 2, 8, 8, 4, 24);
    });

    [Fact]
    public void TheReferencesGradientsAreTheDerivatives()
    {
        PatchEmbeddingReference.Pictures shape = new(2, 4, 6, 2, 3);
        double[] pixels = TestData.ToDouble(TestData.Normal(DType.Float32, 2 * 3 * 4 * 6, 1));
        double[] weight = TestData.ToDouble(TestData.Normal(DType.Float32, 3 * 12, 2));
        double[] bias = TestData.ToDouble(TestData.Normal(DType.Float32, 3, 3));
        double[] classToken = TestData.ToDouble(TestData.Normal(DType.Float32, 3, 4));
        double[] position = TestData.ToDouble(TestData.Normal(DType.Float32, 7 * 3, 5));
        double[] dOutput = TestData.ToDouble(TestData.Normal(DType.Float32, 2 * 7 * 3, 6));
        (double[] dWeight, double[] dBias, double[] dClassToken, double[] dPosition) = PatchEmbeddingReference.Backward(shape, dOutput, pixels);
        foreach ((double[] values, double[] gradient) in ((double[], double[])[])[(weight, dWeight), (bias, dBias), (classToken, dClassToken), (position, dPosition)])
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

        double Loss() => PatchEmbeddingReference.Forward(shape, pixels, weight, bias, classToken, position).Zip(dOutput, (y, g) => y * g).Sum();
    }

    [Fact]
    public void APictureDependsOnNoOtherPicture()
    {
        Embedding x = new(new PatchEmbeddingReference.Pictures(5, 16, 24, 4, 20));
        Tensor all = RunForward(x, x.Bias, DType.Float32);
        Embedding third = new(x.Shape with { B = 1 }) { Pixels = x.Pixels[(2 * 3 * 16 * 24)..(3 * 3 * 16 * 24)] };
        Assert.Equal(Backend.Download(all.Rows(2 * 25, 25)), Backend.Download(RunForward(third, x.Bias, DType.Float32)));
    }

    [Fact]
    public void AWrongShapeIsRefusedByName()
    {
        Embedding x = new(new PatchEmbeddingReference.Pictures(1, 8, 8, 4, 5));
        Tensor pixels = x.UploadPixels(Backend);
        Tensor output = Backend.Poisoned(DType.Float32, new Shape(5, 5));
        Tensor channels = x.UploadChannels(Backend, x.Bias);
        ArgumentException e = Assert.Throws<ArgumentException>(
            () => PatchEmbedding.Forward(pixels, x.UploadWeight(Backend), channels, channels, output, output, 3));
        Assert.Contains("multiples of the patch size 3", e.Message, StringComparison.Ordinal);
        e = Assert.Throws<ArgumentException>(() => PatchEmbedding.Forward(pixels, output, channels, channels, output, output, 4));
        Assert.Contains("weight is Float32 (5, 5); it must be Float32 (5, 48)", e.Message, StringComparison.Ordinal);
        e = Assert.Throws<ArgumentException>(() => PatchEmbedding.Backward(output, output, default, default, default, default, 4));
        Assert.Contains("it must be Float32 (B, 3, H, W)", e.Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentOutOfRangeException>(() => PatchEmbedding.Backward(output, pixels, default, default, default, default, 0));
    }

    private Tensor RunForward(Embedding x, float[] bias, DType dtype)
    {
        Tensor output = Backend.Poisoned(dtype, new Shape(x.Shape.B * (1 + x.Shape.L), x.Shape.C));
        PatchEmbedding.Forward(
            x.UploadPixels(Backend),
            x.UploadWeight(Backend),
            bias.Length == 0 ? default : x.UploadChannels(Backend, bias),
            x.UploadChannels(Backend, x.ClassToken),
            x.UploadPosition(Backend),
            output,
            x.Shape.P);
        return output;
    }

    private static void Add(double[] reference, float[] twin, float[] before)
    {
        for (int i = 0; i < before.Length; i++)
        {
            reference[i] += before[i];
            twin[i] += before[i];
        }
    }

    private sealed record Embedding(PatchEmbeddingReference.Pictures Shape)
    {
        public float[] Pixels { get; init; } = TestData.Normal(DType.Float32, (long)Shape.B * 3 * Shape.H * Shape.W, 1);

        public float[] Weight { get; } = TestData.Normal(DType.Float32, (long)Shape.C * Shape.PatchPixels, 2, 0.1f);

        public float[] Bias { get; } = TestData.Normal(DType.Float32, Shape.C, 3);

        public float[] ClassToken { get; } = TestData.Normal(DType.Float32, Shape.C, 4);

        public float[] Position { get; } = TestData.Normal(DType.Float32, (long)(1 + Shape.L) * Shape.C, 5);

        public Tensor UploadPixels(Backend backend) => backend.Upload(DType.Float32, new Shape(Shape.B, 3, Shape.H, Shape.W), Pixels);

        public Tensor UploadWeight(Backend backend) => backend.Upload(DType.Float32, new Shape(Shape.C, Shape.PatchPixels), Weight);

        public Tensor UploadChannels(Backend backend, float[] values) => backend.Upload(DType.Float32, new Shape(Shape.C), values);

        public Tensor UploadPosition(Backend backend) => backend.Upload(DType.Float32, new Shape(1 + Shape.L, Shape.C), Position);
    }
}

public sealed class CpuPatchEmbeddingTests(CpuBackend backend) : PatchEmbeddingTests(backend), IClassFixture<CpuBackend>;

public sealed class EmulatedCudaForwardPatchEmbeddingTests(EmulatedCudaForward backend) : PatchEmbeddingTests(backend), IClassFixture<EmulatedCudaForward>
{
    // Two rows a picture, 16384 at once.
    [Fact]
    public void MorePicturesThanGoAtOnceGoByChunks() => AssertExact(Backend, new PatchEmbeddingReference.Pictures(8200, 1, 1, 1, 4));

    // A grid has 16 rows at most here, and 65535 on GPUs; of columns it may have billions.
    [Fact]
    public void APictureMayHaveMorePatchesThanAGridHasRows()
    {
        using EmulatedCudaShortGrid backend = new();
        AssertExact(backend, new PatchEmbeddingReference.Pictures(2, 5, 5, 1, 4));
    }

    // Whole numbers are summed exactly.
    private static void AssertExact(Backend backend, PatchEmbeddingReference.Pictures shape)
    {
        int rows = shape.B * (1 + shape.L);
        float[] pixels = TestData.Whole(3L * shape.B * shape.H * shape.W, 1);
        float[] weight = TestData.Whole(12, 2);
        float[] channels = TestData.Whole(4, 3);
        float[] position = TestData.Whole(4L * (1 + shape.L), 4);
        float[] dOutput = TestData.Whole(4L * rows, 5, magnitude: 1);
        Tensor pictures = backend.Upload(DType.Float32, new Shape(shape.B, 3, shape.H, shape.W), pixels);
        Tensor output = backend.Poisoned(DType.Float32, new Shape(rows, 4));
        PatchEmbedding.Forward(
            pictures,
            backend.Upload(DType.Float32, new Shape(4, 3), weight),
            backend.Upload(DType.Float32, new Shape(4), channels),
            backend.Upload(DType.Float32, new Shape(4), channels),
            backend.Upload(DType.Float32, new Shape(1 + shape.L, 4), position),
            output,
            1);
        Assert.Equal(PatchEmbeddingReference.Forward(shape, pixels, weight, channels, channels, position), backend.Download(output));

        Tensor dWeight = backend.Upload(DType.Float32, new Shape(4, 3), weight);
        Tensor dPosition = backend.Upload(DType.Float32, new Shape(1 + shape.L, 4), position);
        PatchEmbedding.Backward(backend.Upload(DType.Float32, output.Shape, dOutput), pictures, dWeight, default, default, dPosition, 1);
        (float[] expectedWeight, _, _, float[] expectedPosition) = PatchEmbeddingReference.Backward(shape, dOutput, pixels);
        Assert.Equal(expectedWeight.Zip(weight, (g, before) => g + before), backend.Download(dWeight));
        Assert.Equal(expectedPosition.Zip(position, (g, before) => g + before), backend.Download(dPosition));
    }
}

public sealed class EmulatedCudaReversePatchEmbeddingTests(EmulatedCudaReverse backend) : PatchEmbeddingTests(backend), IClassFixture<EmulatedCudaReverse>;

public sealed class EmulatedCudaRandomPatchEmbeddingTests(EmulatedCudaRandom backend) : PatchEmbeddingTests(backend), IClassFixture<EmulatedCudaRandom>;

public sealed class EmulatedCudaCublasPatchEmbeddingTests(EmulatedCudaCublas backend) : PatchEmbeddingTests(backend), IClassFixture<EmulatedCudaCublas>;

public sealed class CudaPatchEmbeddingTests(CudaBackend backend) : PatchEmbeddingTests(backend), IClassFixture<CudaBackend>;
