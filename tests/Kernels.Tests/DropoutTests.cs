using CrossAlign.Kernels.Tests.Harness;
using CrossAlign.Reference;
using CrossAlign.Runtime;

namespace CrossAlign.Kernels.Tests;

public abstract class DropoutTests(Backend backend)
{
    private const ulong Key = 0xFEED_0000_0042;
    private const uint Site = 5;

    public static TheoryData<DType, int, int, float> Cases()
    {
        TheoryData<DType, int, int, float> data = [];
        foreach (DType dtype in (DType[])[DType.Float32, DType.BFloat16])
        {
            foreach ((int n, int c) in ((int, int)[])[(0, 8), (1, 1), (2, 7), (3, 16), (17, 31), (33, 32), (5, 33), (2, 301), (200, 96), (3, 520)])
            {
                data.Add(dtype, n, c, 0.1f);
                data.Add(dtype, n, c, 0.5f);
            }
        }

        return data;
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void ItFollowsTheCountersOfExamplePositionAndChannel(DType dtype, int n, int c, float rate)
    {
        float[] input = TestData.Normal(dtype, (long)n * c, 1);
        int[] keys = Keys(n);
        DropoutSite site = new(rate, Key, Site, backend.Upload(new Shape(n, 2), keys));
        Tensor tensor = backend.Upload(dtype, new Shape(n, c), input);
        Tensor output = backend.Poisoned(dtype, new Shape(n, c));
        Dropout.Forward(tensor, output, site);
        double[] expected = DropoutReference.Apply(TestData.ToDouble(input), i => Factor(keys, i / c, i % c, rate));
        float[] twin = Array.ConvertAll(expected, v => (float)v);
        ErrorBudget.AssertForward(expected, twin, backend.Download(output), dtype, "output");

        // The backward pass is the same map, and it may work in place.
        Dropout.Backward(tensor, tensor, site);
        Assert.Equal(backend.Download(output), backend.Download(tensor));
        backend.CheckGuards();
    }

    [Theory]
    [InlineData(DType.Float32)]
    [InlineData(DType.BFloat16)]
    public void AViewThatLiesAskewIsDroppedAsOneThatDoesNot(DType dtype) =>
        backend.WithEachTensorAskew(() => ItFollowsTheCountersOfExamplePositionAndChannel(dtype, 3, 296, 0.5f));

    [Fact]
    public void TheMaskNamesTheTokenAndNotItsPlace()
    {
        int[] keys = Keys(40);
        float[] ones = new float[40 * 24];
        Array.Fill(ones, 1);
        float[] all = Run(ones, 24, keys, 0.5f, Site);
        float[] half = Run(ones[..(20 * 24)], 24, keys[40..], 0.5f, Site);
        Assert.Equal(all[(20 * 24)..], half);
        Assert.Equal(all, Run(ones, 24, keys, 0.5f, Site));
        Assert.NotEqual(all, Run(ones, 24, keys, 0.5f, Site + 1));
    }

    [Theory]
    [InlineData(0.1f)]
    [InlineData(0.5f)]
    [InlineData(0.9f)]
    public void TheExpectedShareIsKept(float rate)
    {
        float[] ones = new float[1000 * 100];
        Array.Fill(ones, 1);
        float[] result = Run(ones, 100, Keys(1000), rate, Site);
        double kept = result.Count(v => v != 0) / (double)result.Length;

        // Five standard deviations of the mean of 100,000 draws.
        Assert.Equal(1 - rate, kept, 5 * Math.Sqrt(rate * (1 - rate) / 100_000));
        Assert.All(result, v => Assert.True(v == 0 || v == (float)(1 / (1 - (double)rate))));
    }

    [Fact]
    public void ANumberWhoseDrawEqualsTheRateIsKept()
    {
        // The rate of each run is the draw of one of the numbers itself, or the next one above it.
        const int C = 8;
        int[] keys = Keys(3);
        float[] ones = Enumerable.Repeat(1f, 3 * C).ToArray();
        foreach (int i in (int[])[0, 5, 14, 23])
        {
            uint draw = Draw(keys, i / C, i % C) >> 8;
            Assert.NotEqual(0, Run(ones, C, keys, MathF.ScaleB(draw, -24), Site)[i]);
            Assert.Equal(0, Run(ones, C, keys, MathF.ScaleB(draw + 1, -24), Site)[i]);
        }
    }

    [Fact]
    public void ARateOfZeroCopies()
    {
        float[] input = TestData.Normal(DType.Float32, 99, 1);
        Tensor output = backend.Poisoned(DType.Float32, new Shape(9, 11));
        Dropout.Forward(backend.Upload(DType.Float32, new Shape(9, 11), input), output, default);
        Assert.Equal(input, backend.Download(output));
    }

    [Fact]
    public void AStoredKeyDropsWhatTheSameKeyDropsThatIsGiven()
    {
        float[] input = TestData.Normal(DType.Float32, 20 * 12, 1);
        Tensor tensor = backend.Upload(DType.Float32, new Shape(20, 12), input);
        Tensor given = backend.Poisoned(DType.Float32, tensor.Shape);
        Tensor stored = backend.Poisoned(DType.Float32, tensor.Shape);
        DropoutSite site = new(0.5f, Key, Site, backend.Upload(new Shape(20, 2), Keys(20)));
        DropoutSite storedSite = site with { Key = 1, StoredKey = backend.Poisoned(DType.Int32, DropoutSite.StoredKeyShape) };
        foreach (ulong key in (ulong[])[Key, 0xFFFF_FFFF_8000_0000, 0x8000_0000])
        {
            DropoutSite.WriteKey(key, storedSite.StoredKey);
            Dropout.Forward(tensor, given, site with { Key = key });
            Dropout.Forward(tensor, stored, storedSite);
            Assert.Equal(backend.Download(given), backend.Download(stored));
        }

        backend.CheckGuards();
    }

    [Fact]
    public void WrongArgumentsAreRefusedByName()
    {
        Tensor x = backend.Poisoned(DType.Float32, new Shape(3, 4));
        Tensor keys = backend.Upload(new Shape(2, 2), [0, 0, 0, 1]);
        ArgumentException e = Assert.Throws<ArgumentException>(() => Dropout.Forward(x, x, new DropoutSite(0.1f, 1, 2, keys)));
        Assert.Contains("TokenKeys is Int32 (2, 2); it must be Int32 (3, 2)", e.Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>(() => Dropout.Forward(x, x, new DropoutSite(float.NaN, 1, 2, keys)));
        Assert.Throws<ArgumentException>(() => Dropout.Forward(x, x, new DropoutSite(0, 1, 1u << 22, keys)));
        DropoutSite site = new(0.1f, 1, 2, backend.Upload(new Shape(3, 2), Keys(3))) { StoredKey = x };
        e = Assert.Throws<ArgumentException>(() => Dropout.Forward(x, x, site));
        Assert.Contains("StoredKey is Float32 (3, 4); it must be Int32 (2)", e.Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>(() => DropoutSite.WriteKey(1, keys));
        Assert.Throws<ArgumentException>(() => DropoutSite.WriteKey(1, default(Tensor)));
        Assert.Throws<ArgumentException>(() => DropoutSite.WriteKey(1, new int[3].AsSpan()));
    }

    protected static int[] Keys(int n)
    {
        int[] keys = new int[2 * n];
        for (int i = 0; i < n; i++)
        {
            keys[2 * i] = 100 + (i / 7);
            keys[(2 * i) + 1] = i % 7;
        }

        return keys;
    }

    private static double Factor(int[] keys, int token, int channel, float rate) =>
        CounterRng.ToUnitFloat(Draw(keys, token, channel)) >= rate ? 1 / (1 - (double)rate) : 0;

    private static uint Draw(int[] keys, int token, int channel)
    {
        (uint x, uint y, uint z, uint w) = CounterRng.Block(
            Key, (uint)channel / 4, (uint)keys[(2 * token) + 1], (uint)keys[2 * token], (Site * 1024) + 1023);
        return (channel % 4) switch { 0 => x, 1 => y, 2 => z, _ => w };
    }

    private float[] Run(float[] input, int c, int[] keys, float rate, uint site)
    {
        int n = input.Length / c;
        Tensor x = backend.Upload(DType.Float32, new Shape(n, c), input);
        Dropout.Forward(x, x, new DropoutSite(rate, Key, site, backend.Upload(new Shape(n, 2), keys)));
        return backend.Download(x);
    }
}

public sealed class CpuDropoutTests(CpuBackend backend) : DropoutTests(backend), IClassFixture<CpuBackend>
{
    private readonly CpuBackend _backend = backend;

    [Fact]
    public void AnyNumberOfThreadsGivesTheSameBits() => Repeatability.AssertSameBitsForAnyThreadCount(b =>
    {
        Tensor x = b.Upload(DType.Float32, new Shape(900, 33), TestData.Normal(DType.Float32, 900 * 33, 1));
        Dropout.Forward(x, x, new DropoutSite(0.3f, 9, 1, b.Upload(new Shape(900, 2), Keys(900))));
        return [b.Download(x)];
    });

    [Fact]
    public void ACallAllocatesNothing()
    {
        Tensor x = _backend.Poisoned(DType.Float32, new Shape(300, 64));
        DropoutSite site = new(0.3f, 9, 1, _backend.Upload(new Shape(300, 2), Keys(300)));
        Repeatability.AssertNoAllocation(() => Dropout.Forward(x, x, site));
    }
}

public sealed class EmulatedCudaForwardDropoutTests(EmulatedCudaForward backend) : DropoutTests(backend), IClassFixture<EmulatedCudaForward>;

public sealed class EmulatedCudaReverseDropoutTests(EmulatedCudaReverse backend) : DropoutTests(backend), IClassFixture<EmulatedCudaReverse>;

public sealed class EmulatedCudaRandomDropoutTests(EmulatedCudaRandom backend) : DropoutTests(backend), IClassFixture<EmulatedCudaRandom>;

public sealed class CudaDropoutTests(CudaBackend backend) : DropoutTests(backend), IClassFixture<CudaBackend>;
