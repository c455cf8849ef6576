using CrossAlign.Kernels.Tests.Harness;
using CrossAlign.Reference;
using CrossAlign.Runtime;

namespace CrossAlign.Kernels.Tests;

/// <summary>
/// Sizes at which super-tiles have their full extent, and the bound on memory. The full matrix of sizes is <see cref="SimilarityCrossEntropyLongTests"/>. B = 131072, E = 512
/// takes too long for either: <c>dotnet run --project benchmarks -c Release -- loss-memory 131072 512</c>.
/// </summary>
public sealed class SimilarityCrossEntropyLargeTests
{
    [Theory]
    [InlineData(2063)]
    [InlineData(2065)]
    public void WithinTheErrorBudgetAtFullTiles(int b) => Check(SimilarityCrossEntropyCase.Seeded(new(), b, b, 3, 8));

    [Theory]
    [InlineData(1000, 5, SimilarityCrossEntropyObjective.Softmax, SimilarityCrossEntropyDirection.Symmetric)]
    [InlineData(1000, 5, SimilarityCrossEntropyObjective.Softmax, SimilarityCrossEntropyDirection.ImageToCaption)]
    [InlineData(1000, 5, SimilarityCrossEntropyObjective.Sigmoid, SimilarityCrossEntropyDirection.Symmetric)]
    [InlineData(2065, 40, SimilarityCrossEntropyObjective.Softmax, SimilarityCrossEntropyDirection.Symmetric)]
    [InlineData(5000, 3, SimilarityCrossEntropyObjective.Softmax, SimilarityCrossEntropyDirection.Symmetric)]
    public void ExtremeLogitsAreWithinTheErrorBudget(int b, int e, SimilarityCrossEntropyObjective objective, SimilarityCrossEntropyDirection direction)
    {
        // Cosines over few coordinates reach 1 and -1, so logits reach 100 and -100, and lines' maxima lie far apart. A small budget keeps no similarities.
        SimilarityCrossEntropyOptions options = new() { Objective = objective, Direction = direction, Scale = SimilarityCrossEntropyScale.Multiplier };
        options = b > 1000 ? options : options with { MemoryBudgetBytes = 18 << 20 };
        Check(SimilarityCrossEntropyCase.Seeded(options, b, b, e, 12) with { Scale = 100 });
    }

    [Theory]
    [InlineData(20_000, SimilarityCrossEntropyObjective.Softmax)]
    [InlineData(9_000, SimilarityCrossEntropyObjective.Sigmoid)]
    public void MemoryStaysWithinTheBound(int b, SimilarityCrossEntropyObjective objective) => MeasureMemory(b, 8, objective);

    private static void Check(SimilarityCrossEntropyCase x)
    {
        using CpuBackend backend = new();
        SimilarityCrossEntropyResult<float> actual = x.Run(backend, out _);
        string? wrong = SimilarityCrossEntropyBudget.Explain(x, SimilarityCrossEntropyReference.Run(x.ToDouble()), actual);
        Assert.True(wrong is null, wrong);
    }

    private static void MeasureMemory(int b, int e, SimilarityCrossEntropyObjective objective)
    {
        using CpuDevice device = new();
        Shape shape = new(b, e);
        Tensor captions = device.NewTensor(DType.Float32, shape);
        Tensor images = device.NewTensor(DType.Float32, shape);
        Tensor dCaptions = device.NewTensor(DType.Float32, shape);
        Tensor dImages = device.NewTensor(DType.Float32, shape);
        Tensor scalars = device.NewTensor(DType.Float32, new Shape(4));
        Span<float> rows = captions.AsSpan<float>();
        Span<float> columns = images.AsSpan<float>();
        uint state = 12345;
        for (int i = 0; i < rows.Length; i++)
        {
            state = (state * 1664525) + 1013904223;
            rows[i] = (state >> 8) * (2f / (1 << 24)) - 1;
            columns[i] = (0.5f * rows[i]) + ((state >> 20) * (1f / 4096)) - 0.5f;
        }

        scalars.Rows(0, 1).AsSpan<float>()[0] = 2;
        long before = device.AllocatedByteCount;
        SimilarityCrossEntropyOptions options = new() { Objective = objective };
        using (SimilarityCrossEntropyWorkspace workspace = new(device, options, b, b, e))
        {
            Assert.False(workspace.KeepsSimilarities);
            SimilarityCrossEntropy.ForwardBackward(
                workspace,
                new() { Captions = captions, Images = images, Scale = scalars.Rows(0, 1) },
                new() { Loss = scalars.Rows(1, 1) },
                new() { DCaptions = dCaptions, DImages = dImages, DScale = scalars.Rows(2, 1) });
            Assert.True(workspace.ScaleGradientDiscrepancy < 1e-4, $"{workspace.ScaleGradientDiscrepancy}");
            Assert.True(
                device.PeakByteCount - before <= SimilarityCrossEntropyWorkspace.PredictByteCount(options, b, b, e),
                $"{device.PeakByteCount - before} bytes were taken, more than predicted.");
        }

        long bound = (64L << 20) + (32L * b);
        Assert.True(device.PeakByteCount - before <= bound, $"{device.PeakByteCount - before} bytes beside inputs and gradients, {bound} are allowed.");
        Assert.True(float.IsFinite(scalars.AsSpan<float>()[1]));
        captions.Memory.Dispose();
        images.Memory.Dispose();
        dCaptions.Memory.Dispose();
        dImages.Memory.Dispose();
        scalars.Memory.Dispose();
    }
}
