using CrossAlign.Kernels.Tests.Harness;
using CrossAlign.Runtime;

namespace CrossAlign.Kernels.Tests;

public abstract class CastTests(Backend backend)
{
    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(7)]
    [InlineData(16)]
    [InlineData(33)]
    [InlineData(70_001)]
    public void ToBFloat16RoundsToNearestEvenAndBackIsExact(int count)
    {
        Shape shape = new(count);
        float[] values = TestData.Normal(DType.Float32, count, 1);
        float[] expected = Array.ConvertAll(values, v => BFloat16.FromSingle(v).ToSingle());
        Tensor narrow = backend.Poisoned(DType.BFloat16, shape);
        Tensor wide = backend.Poisoned(DType.Float32, shape);
        Cast.Run(backend.Upload(DType.Float32, shape, values), narrow);
        Cast.Run(narrow, wide);
        Assert.Equal(expected, backend.Download(narrow));
        Assert.Equal(expected, backend.Download(wide));
        backend.CheckGuards();
    }

    [Theory]
    [InlineData(16)]
    [InlineData(1031)]
    public void AViewThatLiesAskewIsCastAsOneThatDoesNot(int count) =>
        backend.WithEachTensorAskew(() => ToBFloat16RoundsToNearestEvenAndBackIsExact(count));

    [Fact]
    public void SpecialValuesKeepTheirMeaning()
    {
        // 1 + 2^-8 lies half way between two bfloat16 numbers and goes to the even one; 3.4e38 is beyond the largest.
        float[] values = [float.NaN, float.PositiveInfinity, float.NegativeInfinity, 3.4e38f, -0f, 1.00390625f, 1.01171875f, 1e-45f];
        Tensor narrow = backend.Poisoned(DType.BFloat16, new Shape(values.Length));
        Cast.Run(backend.Upload(DType.Float32, new Shape(values.Length), values), narrow);
        Assert.Equal(
            [float.NaN, float.PositiveInfinity, float.NegativeInfinity, float.PositiveInfinity, -0f, 1f, 1.015625f, 0f], backend.Download(narrow));
    }

    [Theory]
    [InlineData(DType.Float32)]
    [InlineData(DType.BFloat16)]
    public void EqualTypesAreCopied(DType dtype)
    {
        float[] values = TestData.Normal(dtype, 1000, 1);
        values[5] = float.NaN;
        Tensor copy = backend.Poisoned(dtype, new Shape(10, 100));
        Cast.Run(backend.Upload(dtype, new Shape(10, 100), values), copy);
        Assert.Equal(values, backend.Download(copy));
    }

    [Fact]
    public void WrongShapesAreRefusedByName()
    {
        Tensor input = backend.Poisoned(DType.Float32, new Shape(4));
        Tensor output = backend.Poisoned(DType.BFloat16, new Shape(5));
        ArgumentException e = Assert.Throws<ArgumentException>(() => Cast.Run(input, output));
        Assert.Contains("output is BFloat16 (5); it must be BFloat16 (4)", e.Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>(() => Cast.Run(input, backend.Poisoned(DType.Int32, new Shape(4))));
    }
}

public sealed class CpuCastTests(CpuBackend backend) : CastTests(backend), IClassFixture<CpuBackend>
{
    private readonly CpuBackend _backend = backend;

    [Fact]
    public void ACallAllocatesNothing()
    {
        Tensor x = _backend.Poisoned(DType.Float32, new Shape(300, 512));
        Tensor y = _backend.Poisoned(DType.BFloat16, new Shape(300, 512));
        Repeatability.AssertNoAllocation(() => Cast.Run(x, y));
    }
}

public sealed class EmulatedCudaForwardCastTests(EmulatedCudaForward backend) : CastTests(backend), IClassFixture<EmulatedCudaForward>;

public sealed class EmulatedCudaReverseCastTests(EmulatedCudaReverse backend) : CastTests(backend), IClassFixture<EmulatedCudaReverse>;

public sealed class EmulatedCudaRandomCastTests(EmulatedCudaRandom backend) : CastTests(backend), IClassFixture<EmulatedCudaRandom>;

public sealed class CudaCastTests(CudaBackend backend) : CastTests(backend), IClassFixture<CudaBackend>;
