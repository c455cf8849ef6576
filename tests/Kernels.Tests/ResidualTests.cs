using CrossAlign.Kernels.Tests.Harness;
using CrossAlign.Runtime;

namespace CrossAlign.Kernels.Tests;

public abstract class ResidualTests(Backend backend)
{
    [Theory]
    [InlineData(0, 5)]
    [InlineData(1, 1)]
    [InlineData(1, 15)]
    [InlineData(1, 16)]
    [InlineData(1, 17)]
    [InlineData(3, 31)]
    [InlineData(700, 99)]
    public void SumsOfWholeNumbersAreExact(int n, int c)
    {
        // Whole numbers up to 128 are exact in bfloat16 too.
        Shape shape = new(n, c);
        float[] x = TestData.Whole(shape.Count, 1, 60);
        float[] y = TestData.Whole(shape.Count, 2, 60);
        float[] expected = x.Zip(y, (a, b) => a + b).ToArray();
        foreach (DType dtype in (DType[])[DType.Float32, DType.BFloat16])
        {
            Tensor tx = backend.Upload(dtype, shape, x);
            Tensor ty = backend.Upload(dtype, shape, y);
            Tensor output = backend.Poisoned(dtype, shape);
            Residual.Add(tx, ty, output);
            Assert.Equal(expected, backend.Download(output));
            Residual.Add(tx, ty, ty);
            Assert.Equal(expected, backend.Download(ty));
        }

        backend.CheckGuards();
    }

    [Theory]
    [InlineData(2, 16)]
    [InlineData(3, 700)]
    public void AViewThatLiesAskewIsAddedAsOneThatDoesNot(int n, int c) => backend.WithEachTensorAskew(() => SumsOfWholeNumbersAreExact(n, c));

    [Fact]
    public void WrongShapesAreRefusedByName()
    {
        Tensor x = backend.Poisoned(DType.Float32, new Shape(4, 8));
        Tensor y = backend.Poisoned(DType.BFloat16, new Shape(4, 8));
        ArgumentException e = Assert.Throws<ArgumentException>(() => Residual.Add(x, y, x));
        Assert.Contains("y is BFloat16 (4, 8); it must be Float32 (4, 8)", e.Message, StringComparison.Ordinal);
    }
}

public sealed class CpuResidualTests(CpuBackend backend) : ResidualTests(backend), IClassFixture<CpuBackend>
{
    private readonly CpuBackend _backend = backend;

    [Fact]
    public void ACallAllocatesNothing()
    {
        Tensor x = _backend.Poisoned(DType.Float32, new Shape(300, 512));
        Repeatability.AssertNoAllocation(() => Residual.Add(x, x, x));
    }
}

public sealed class EmulatedCudaForwardResidualTests(EmulatedCudaForward backend) : ResidualTests(backend), IClassFixture<EmulatedCudaForward>;

public sealed class EmulatedCudaReverseResidualTests(EmulatedCudaReverse backend) : ResidualTests(backend), IClassFixture<EmulatedCudaReverse>;

public sealed class EmulatedCudaRandomResidualTests(EmulatedCudaRandom backend) : ResidualTests(backend), IClassFixture<EmulatedCudaRandom>;

public sealed class CudaResidualTests(CudaBackend backend) : ResidualTests(backend), IClassFixture<CudaBackend>;
