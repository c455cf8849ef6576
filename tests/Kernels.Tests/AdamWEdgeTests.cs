using CrossAlign.Kernels.Tests.Harness;
using CrossAlign.Runtime;

namespace CrossAlign.Kernels.Tests;

/// <summary>Steps of <see cref="AdamW"/> at the edges: numbers that are none, a factor of zero, rows that only one moment moves.</summary>
public abstract class AdamWEdgeTests(Backend backend)
{
    private const float Beta1 = 0.75f;
    private const float Beta2 = 0.5f;

    [Fact]
    public void AMaximumDoesNotHideAWeightThatIsNoNumber()
    {
        AdamWParameter p = Upload(new Shape(20), new float[20], default);
        p.Maximum = 1;
        float[] gradient = new float[20];
        gradient[3] = float.NaN;
        gradient[17] = float.NaN;
        gradient[4] = -1;
        p.Gradient.CopyFrom<float>(gradient);
        using AdamWParameters all = new(backend.Device, p);
        AdamW.Step(all, new AdamWSettings(5, 1));
        float[] actual = backend.Download(p.Weight);
        Assert.Equal([float.NaN, float.NaN], [actual[3], actual[17]]);
        Assert.Equal(1, actual[4]);
        Assert.Equal(18, actual.Count(float.IsFinite));
    }

    [Fact]
    public void AFactorOfZeroIsStillAStep()
    {
        // What says that a step shall not be made is the third number, not the second.
        AdamWParameter p = Upload(new Shape(9), [.. Enumerable.Repeat(2f, 9)], default);
        p.WeightDecay = 0.5;
        p.Gradient.CopyFrom<float>([.. Enumerable.Repeat(3f, 9)]);
        p.FirstMoment.CopyFrom<float>([.. Enumerable.Repeat(4f, 9)]);
        using AdamWParameters all = new(backend.Device, p);
        AdamW.Step(all, new AdamWSettings(0.5, 1, Beta1, Beta2), backend.Upload(DType.Float32, new Shape(3), [1, 0, 1]));
        Assert.All(backend.Download(p.FirstMoment), m => Assert.Equal(4 * Beta1, m));
        AdamW.Step(all, new AdamWSettings(0.5, 1, Beta1, Beta2), backend.Upload(DType.Float32, new Shape(3), [1, 1, 0]));
        Assert.All(backend.Download(p.FirstMoment), m => Assert.Equal(4 * Beta1, m));
    }

    [Theory]
    [InlineData(7)]
    [InlineData(96)]
    public void ARowWithoutAGradientMovesWhileEitherMomentIsThere(int c)
    {
        // Rows with one moment or the other in a single column each, and every third row with none.
        const int V = 30;
        Shape shape = new(V, c);
        float[] weight = TestData.Normal(DType.Float32, V * c, 1);
        float[] first = new float[V * c];
        float[] second = new float[V * c];
        for (int row = 0; row < V; row++)
        {
            int at = (row * c) + (row * 5 % c);
            first[at] = row % 3 == 1 ? 0.25f : 0;
            second[at] = row % 3 == 2 ? 0.25f : 0;
        }

        RowSparseGradient none = new(
            backend.Poisoned(DType.Int32, new Shape(4)), backend.Poisoned(DType.Float32, new Shape(4, c)), backend.Upload(new Shape(1), [0]));
        AdamWParameter dense = Upload(shape, weight, default);
        AdamWParameter sparse = Upload(shape, weight, none);
        dense.Gradient.CopyFrom<float>(new float[V * c]);
        foreach (AdamWParameter p in (AdamWParameter[])[dense, sparse])
        {
            p.FirstMoment.CopyFrom<float>(first);
            p.SecondMoment.CopyFrom<float>(second);
            using AdamWParameters all = new(backend.Device, p);
            AdamW.Step(all, new AdamWSettings(0.1, 1, Beta1, Beta2, 1));
        }

        Assert.Equal(Array.ConvertAll(first, m => m * Beta1), backend.Download(sparse.FirstMoment));
        Assert.Equal(Array.ConvertAll(second, v => v * Beta2), backend.Download(sparse.SecondMoment));
        Assert.Equal(backend.Download(dense.Weight), backend.Download(sparse.Weight));
        Assert.Equal(V / 3, backend.Download(sparse.Weight).Zip(weight).Count(pair => pair.First != pair.Second));
        backend.CheckGuards();
    }

    private AdamWParameter Upload(Shape shape, float[] weight, in RowSparseGradient sparse)
    {
        Tensor w = backend.Upload(DType.Float32, shape, weight);
        Tensor first = backend.Upload(DType.Float32, shape, new float[weight.Length]);
        Tensor second = backend.Upload(DType.Float32, shape, new float[weight.Length]);
        return sparse.IsPresent
            ? new AdamWParameter(w, sparse, first, second)
            : new AdamWParameter(w, backend.Poisoned(DType.Float32, shape), first, second);
    }
}

public sealed class EmulatedCudaForwardAdamWEdgeTests(EmulatedCudaForward backend) : AdamWEdgeTests(backend), IClassFixture<EmulatedCudaForward>;

public sealed class EmulatedCudaReverseAdamWEdgeTests(EmulatedCudaReverse backend) : AdamWEdgeTests(backend), IClassFixture<EmulatedCudaReverse>;

public sealed class EmulatedCudaRandomAdamWEdgeTests(EmulatedCudaRandom backend) : AdamWEdgeTests(backend), IClassFixture<EmulatedCudaRandom>;

public sealed class CudaAdamWEdgeTests(CudaBackend backend) : AdamWEdgeTests(backend), IClassFixture<CudaBackend>;

public sealed class CpuAdamWEdgeTests(CpuBackend backend) : AdamWEdgeTests(backend), IClassFixture<CpuBackend>;
