using CrossAlign.Kernels.Tests.Harness;
using CrossAlign.Runtime;

namespace CrossAlign.Kernels.Tests;

/// <summary>The two numbers that the fused loss learns: their gradients are added, and a scale at its bound still has one.</summary>
public abstract class SimilarityScalarTests(Backend backend)
{
    [Fact]
    public void TheBiasGradientIsAdded()
    {
        SimilarityCrossEntropyCase x = SimilarityCrossEntropyCase.Seeded(new() { Objective = SimilarityCrossEntropyObjective.Sigmoid }, 8, 8, 8, 2) with { Bias = -2 };
        using SimilarityCrossEntropyWorkspace workspace = new(backend.Device, x.Options, 8, 8, 8);
        Tensor dBias = backend.Upload(DType.Float32, new Shape(1), [4f]);
        SimilarityCrossEntropy.ForwardBackward(
            workspace,
            x.Inputs(backend),
            new() { Loss = backend.Poisoned(DType.Float32, new Shape(1)) },
            new() { DCaptions = backend.Poisoned(DType.Float32, new Shape(8, 8)), DBias = dBias });
        float alone = x.Run(backend, out _).DBias;
        Assert.NotEqual(0, alone);
        Assert.Equal(4 + alone, backend.Download(dBias)[0]);
    }

    [Fact]
    public void ALogarithmThatStandsAtItsBoundHasTheMultipliersGradient()
    {
        // ln 100 in float32 is what a parameter clamped to the bound holds; the next larger number is beyond it.
        float bound = MathF.Log(100);
        SimilarityCrossEntropyCase at = SimilarityCrossEntropyCase.Seeded(new(), 9, 9, 8, 2) with { Scale = bound };
        SimilarityCrossEntropyCase multiplier = at with { Options = at.Options with { Scale = SimilarityCrossEntropyScale.Multiplier }, Scale = 100 };
        double expected = 100.0 * multiplier.Run(backend, out _).DScale;
        Assert.NotEqual(0, expected);
        Assert.Equal(1, at.Run(backend, out _).DScale / expected, 1e-4);
        Assert.Equal(0, (at with { Scale = MathF.BitIncrement(bound) }).Run(backend, out _).DScale);
    }
}

public sealed class CpuSimilarityScalarTests(CpuBackend backend) : SimilarityScalarTests(backend), IClassFixture<CpuBackend>;

public sealed class EmulatedCudaForwardSimilarityScalarTests(EmulatedCudaForward backend) : SimilarityScalarTests(backend), IClassFixture<EmulatedCudaForward>;

public sealed class EmulatedCudaReverseSimilarityScalarTests(EmulatedCudaReverse backend) : SimilarityScalarTests(backend), IClassFixture<EmulatedCudaReverse>;

public sealed class EmulatedCudaRandomSimilarityScalarTests(EmulatedCudaRandom backend) : SimilarityScalarTests(backend), IClassFixture<EmulatedCudaRandom>;

public sealed class CudaSimilarityScalarTests(CudaBackend backend) : SimilarityScalarTests(backend), IClassFixture<CudaBackend>;
