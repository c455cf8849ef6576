using CrossAlign.Kernels.Tests.Harness;
using CrossAlign.Reference;
using CrossAlign.Runtime;

namespace CrossAlign.Kernels.Tests;

public abstract class AdamWTests(Backend backend)
{
    private const int Steps = 4;

    // Several tasks of 16,384 elements, tails of every vector, and nothing at all.
    private static readonly int[] s_counts = [1, 0, 7, 16, 33, 1000, 16384, 40001];

    public static TheoryData<double, double> Settings() => new()
    {
        { 0, double.PositiveInfinity },
        { 0.1, double.PositiveInfinity },
        { 0.1, 1 },
    };

    [Theory]
    [MemberData(nameof(Settings))]
    public void SeveralStepsFollowTheReference(double decay, double maxNorm)
    {
        List<AdamWParameter> parameters = [];
        List<double[][]> expected = [];
        List<float[][]> twins = [];
        for (int t = 0; t < s_counts.Length; t++)
        {
            int n = s_counts[t];
            float[] weight = TestData.Normal(DType.Float32, n, (uint)(10 + t));
            parameters.Add(Upload(backend, new Shape(n), weight, default));

            // The last tensor learns at half the rate, and the first does not decay.
            parameters[t].LearningRateFactor = t == s_counts.Length - 1 ? 0.5 : 1;
            parameters[t].WeightDecay = t == 0 ? 0 : decay;
            expected.Add([TestData.ToDouble(weight), new double[n], new double[n]]);
            twins.Add([[.. weight], new float[n], new float[n]]);
        }

        Tensor norm = backend.Poisoned(DType.Float32, new Shape(3));
        using AdamWParameters all = new(backend.Device, [.. parameters]);
        for (int step = 1; step <= Steps; step++)
        {
            List<float[]> gradients = [.. s_counts.Select((n, t) => TestData.Normal(DType.Float32, n, (uint)((100 * step) + t), 0.01f * step))];
            for (int t = 0; t < s_counts.Length; t++)
            {
                parameters[t].Gradient.CopyFrom<float>(gradients[t]);
            }

            double rate = 1e-3 * step;
            GradientNorm.Run(all, maxNorm, norm);
            AdamW.Step(all, new AdamWSettings(rate, step), norm);

            (double expectedNorm, double factor) = AdamWReference.Clip(gradients.Select(TestData.ToDouble), maxNorm);
            float[] actualNorm = backend.Download(norm);
            Assert.Equal(expectedNorm, actualNorm[0], 1e-6 * expectedNorm);
            Assert.Equal(factor, actualNorm[1], 1e-6);
            Assert.Equal(1, actualNorm[2]);
            for (int t = 0; t < s_counts.Length; t++)
            {
                AdamWParameter p = parameters[t];
                AdamWReference.Step(
                    expected[t][0], TestData.ToDouble(gradients[t]), expected[t][1], expected[t][2], rate * p.LearningRateFactor, step, 0.9, 0.999, 1e-8, p.WeightDecay, factor);
                AdamWReference.Step(
                    twins[t][0], gradients[t], twins[t][1], twins[t][2], rate * p.LearningRateFactor, step, 0.9, 0.999, 1e-8, p.WeightDecay, factor);
            }
        }

        for (int t = 0; t < s_counts.Length; t++)
        {
            ErrorBudget.AssertForward(expected[t][0], twins[t][0], backend.Download(parameters[t].Weight), DType.Float32, $"weight {t}");
            ErrorBudget.AssertForward(expected[t][1], twins[t][1], backend.Download(parameters[t].FirstMoment), DType.Float32, $"first moment {t}");
            ErrorBudget.AssertForward(expected[t][2], twins[t][2], backend.Download(parameters[t].SecondMoment), DType.Float32, $"second moment {t}");
            Assert.Equal(
                Array.ConvertAll(backend.Download(parameters[t].Weight), v => BFloat16.FromSingle(v).ToSingle()),
                backend.Download(parameters[t].WeightCopy));
        }

        backend.CheckGuards();
    }

    [Theory]
    [InlineData(0.0)]
    [InlineData(0.01)]
    public void ASparseGradientGivesTheBitsOfTheDenseOne(double decay)
    {
        foreach ((int v, int c, int most) in ((int, int, int)[])[(1, 1, 1), (50, 7, 20), (300, 96, 20), (5000, 16, 1500), (40, 1000, 40), (200, 4, 33), (3, 9000, 2)])
        {
            AssertSparseEqualsDense(v, c, most, decay);
        }
    }

    private void AssertSparseEqualsDense(int v, int c, int most, double decay)
    {
        Shape shape = new(v, c);
        float[] weight = TestData.Normal(DType.Float32, shape.Count, 1);
        AdamWParameter dense = Upload(backend, shape, weight, default);
        int capacity = most;
        RowSparseGradient gradient = new(
            backend.Poisoned(DType.Int32, new Shape(capacity)),
            backend.Poisoned(DType.Float32, new Shape(capacity, c)),
            backend.Poisoned(DType.Int32, new Shape(1)));
        AdamWParameter sparse = Upload(backend, shape, weight, gradient);
        dense.WeightDecay = decay;
        sparse.WeightDecay = decay;
        Tensor denseNorm = backend.Poisoned(DType.Float32, new Shape(3));
        Tensor sparseNorm = backend.Poisoned(DType.Float32, new Shape(3));
        using AdamWParameters denseOnly = new(backend.Device, dense);
        using AdamWParameters sparseOnly = new(backend.Device, sparse);
        CounterRandom random = new(7, 1, (uint)v);
        for (int step = 1; step <= 5; step++)
        {
            // In the third step nothing is touched; rows touched before go on moving.
            int[] rows = step == 3 ? [] : [.. Enumerable.Range(0, capacity).Select(_ => random.Next(v)).Distinct().Order()];
            float[] values = TestData.Normal(DType.Float32, rows.Length * c, (uint)step);
            float[] scattered = new float[v * c];
            for (int i = 0; i < rows.Length; i++)
            {
                values.AsSpan(i * c, c).CopyTo(scattered.AsSpan(rows[i] * c));
            }

            dense.Gradient.CopyFrom<float>(scattered);
            gradient.RowCount.CopyFrom<int>([rows.Length]);
            gradient.RowIds.Rows(0, rows.Length).CopyFrom<int>(rows);
            gradient.Values.Rows(0, rows.Length).CopyFrom<float>(values);
            GradientNorm.Run(denseOnly, 1, denseNorm);
            GradientNorm.Run(sparseOnly, 1, sparseNorm);
            Assert.Equal(backend.Download(denseNorm)[0], backend.Download(sparseNorm)[0], 1e-6 * backend.Download(denseNorm)[0]);

            // The sums of squares may round differently; the steps themselves are compared under one factor.
            AdamW.Step(denseOnly, new AdamWSettings(1e-2, step), denseNorm);
            AdamW.Step(sparseOnly, new AdamWSettings(1e-2, step), denseNorm);
            Assert.Equal(backend.Download(dense.Weight), backend.Download(sparse.Weight));
            Assert.Equal(backend.Download(dense.FirstMoment), backend.Download(sparse.FirstMoment));
            Assert.Equal(backend.Download(dense.SecondMoment), backend.Download(sparse.SecondMoment));
            Assert.Equal(backend.Download(dense.WeightCopy), backend.Download(sparse.WeightCopy));
        }

        backend.CheckGuards();
    }

    [Fact]
    public void StoredSettingsMakeTheStepOfTheSameSettingsThatAreGiven()
    {
        float[] weight = TestData.Normal(DType.Float32, 1003, 1);
        AdamWParameter[] p = [.. Enumerable.Range(0, 2).Select(_ => Upload(backend, new Shape(1003), weight, default))];
        using AdamWParameters given = new(backend.Device, p[0]);
        using AdamWParameters read = new(backend.Device, p[1]);
        Tensor stored = backend.Poisoned(DType.Float32, new Shape(AdamWSettings.StoredLength));
        for (int step = 1; step <= 3; step++)
        {
            Array.ForEach(p, q => q.Gradient.CopyFrom<float>(TestData.Normal(DType.Float32, 1003, (uint)(10 + step))));
            AdamWSettings settings = new(1e-2 / step, step, 0.8, 0.98, 1e-6);
            settings.Store(stored);
            AdamW.Step(given, settings);
            AdamW.Step(read, stored);
            Assert.Equal(backend.Download(p[0].Weight), backend.Download(p[1].Weight));
        }

        Assert.NotEqual(weight, backend.Download(p[0].Weight));
        backend.CheckGuards();
    }

    [Fact]
    public void AViewThatLiesAskewIsSteppedAsOneThatDoesNot()
    {
        // Parts of joined parameters begin anywhere: here four bytes, for the copy two, behind a multiple of 16.
        const int N = 9001;
        float[] weight = TestData.Normal(DType.Float32, N, 1);
        float[] gradient = TestData.Normal(DType.Float32, N, 2);
        AdamWParameter straight = Upload(backend, new Shape(N), weight, default);
        AdamWParameter behind = Upload(backend, new Shape(N + 1), [0, .. weight], default);
        AdamWParameter askew = new(
            behind.Weight.Rows(1, N), behind.Gradient.Rows(1, N), behind.FirstMoment.Rows(1, N), behind.SecondMoment.Rows(1, N), behind.WeightCopy.Rows(1, N));
        straight.Gradient.CopyFrom<float>(gradient);
        askew.Gradient.CopyFrom<float>(gradient);
        Tensor[] norms = [backend.Poisoned(DType.Float32, new Shape(3)), backend.Poisoned(DType.Float32, new Shape(3))];
        AdamWParameter[] both = [straight, askew];
        for (int i = 0; i < 2; i++)
        {
            using AdamWParameters one = new(backend.Device, both[i]);
            GradientNorm.Run(one, 1, norms[i]);
            AdamW.Step(one, new AdamWSettings(1e-2, 1), norms[0]);
        }

        Assert.Equal(backend.Download(norms[0])[0], backend.Download(norms[1])[0], 1e-5);
        Assert.Equal(backend.Download(straight.Weight), backend.Download(askew.Weight));
        Assert.Equal(backend.Download(straight.SecondMoment), backend.Download(askew.SecondMoment));
        Assert.Equal(backend.Download(straight.WeightCopy), backend.Download(askew.WeightCopy));
        Assert.Equal(0, backend.Download(behind.Weight)[0]);
    }

    [Fact]
    public void EachTensorOfAStepMayLieAskew() => backend.WithEachTensorAskew(() =>
    {
        AssertSparseEqualsDense(20, 8, 6, 0.01);
        StoredSettingsMakeTheStepOfTheSameSettingsThatAreGiven();
    });

    [Fact]
    public void TheResultIsCutToTheMaximumAndTheGradientsAreScaled()
    {
        AdamWParameter[] p = [.. Enumerable.Range(0, 2).Select(_ => Upload(backend, new Shape(5), [0.5f, 1, 2, 0, -3], default))];
        p[0].Maximum = 1;
        using AdamWParameters all = new(backend.Device, p);
        Array.ForEach(p, q => q.Gradient.CopyFrom<float>([-30, -30, 30, 30, 30]));
        Tensor norm = backend.Poisoned(DType.Float32, new Shape(3));
        GradientNorm.Run(all, double.PositiveInfinity, norm, 0.25);
        float[] result = backend.Download(norm);
        Assert.Equal(0.25 * Math.Sqrt(10 * 900), result[0], 1e-5);
        Assert.Equal([0.25f, 1f], result[1..]);
        AdamW.Step(all, new AdamWSettings(0.1, 1), norm);
        Assert.Equal(0.6f, backend.Download(p[0].Weight)[0], 1e-6f);
        Assert.Equal([1f, 1f], backend.Download(p[0].Weight)[1..3]);
        Assert.Equal(1.1f, backend.Download(p[1].Weight)[1], 1e-6f);
        Assert.Equal(0.1f * 7.5f, backend.Download(p[1].FirstMoment)[2], 1e-6f);
    }

    [Fact]
    public void TheNormIsOfAllTensorsHoweverManyThereAre()
    {
        // More pieces than the threads of the block that adds them.
        const int Count = 700;
        AdamWParameter[] p = [.. Enumerable.Range(0, Count).Select(i => Upload(backend, new Shape(1), [0], default))];
        double squares = 0;
        for (int i = 0; i < Count; i++)
        {
            p[i].Gradient.CopyFrom<float>([i + 1f]);
            squares += (i + 1.0) * (i + 1);
        }

        using AdamWParameters all = new(backend.Device, p);
        Tensor norm = backend.Poisoned(DType.Float32, new Shape(3));
        GradientNorm.Run(all, double.PositiveInfinity, norm);
        Assert.Equal((float)Math.Sqrt(squares), backend.Download(norm)[0]);
    }

    [Theory]
    [InlineData(float.NaN)]
    [InlineData(float.PositiveInfinity)]
    public void AStepWithoutFiniteGradientsChangesNothing(float wrong)
    {
        float[] weight = TestData.Normal(DType.Float32, 100, 1);
        AdamWParameter p = Upload(backend, new Shape(100), weight, default);
        float[] gradient = TestData.Normal(DType.Float32, 100, 2);
        gradient[97] = wrong;
        p.Gradient.CopyFrom<float>(gradient);
        Tensor norm = backend.Poisoned(DType.Float32, new Shape(3));
        using AdamWParameters all = new(backend.Device, p);
        GradientNorm.Run(all, 1, norm);
        Assert.Equal(0, backend.Download(norm)[1]);
        Assert.Equal(0, backend.Download(norm)[2]);
        Assert.False(float.IsFinite(backend.Download(norm)[0]));
        AdamW.Step(all, new AdamWSettings(1, 1), norm);
        Assert.Equal(weight, backend.Download(p.Weight));
        Assert.All(backend.Download(p.FirstMoment), m => Assert.Equal(0, m));
        Assert.All(backend.Download(p.SecondMoment), v => Assert.Equal(0, v));
    }

    [Fact]
    public void LargeFiniteGradientsHaveAFiniteNorm()
    {
        // The squares overflow a float.
        AdamWParameter p = Upload(backend, new Shape(70), new float[70], default);
        float[] gradient = new float[70];
        gradient[3] = 3e25f;
        gradient[69] = -4e25f;
        p.Gradient.CopyFrom<float>(gradient);
        Tensor norm = backend.Poisoned(DType.Float32, new Shape(3));
        using AdamWParameters all = new(backend.Device, p);
        GradientNorm.Run(all, 1, norm);
        Assert.Equal(5e25, backend.Download(norm)[0], 1e19);
        Assert.Equal(1, backend.Download(norm)[2]);
    }

    [Fact]
    public void GradientsBelowTheNormAreNotScaledUp()
    {
        AdamWParameter p = Upload(backend, new Shape(2), [0, 0], default);
        p.Gradient.CopyFrom<float>([3, 4]);
        Tensor norm = backend.Poisoned(DType.Float32, new Shape(3));
        using AdamWParameters all = new(backend.Device, p);
        GradientNorm.Run(all, 15, norm);
        Assert.Equal([5f, 1f, 1f], backend.Download(norm));
        using AdamWParameters none = new(backend.Device);
        GradientNorm.Run(none, 15, norm);
        AdamW.Step(none, new AdamWSettings(1, 1), norm);
        Assert.Equal([0f, 1f, 1f], backend.Download(norm));
    }

    [Theory]
    [InlineData("no bias correction")]
    [InlineData("epsilon inside the root")]
    [InlineData("decay in the gradient")]
    [InlineData("decay after the step")]
    public void BrokenVariantsAreRejected(string variant)
    {
        float[] weight = TestData.Normal(DType.Float32, 64, 1);
        float[] gradient = TestData.Normal(DType.Float32, 64, 2, 0.01f);
        double[] expected = TestData.ToDouble(weight);
        AdamWReference.Step(expected, TestData.ToDouble(gradient), new double[64], new double[64], 1e-2, 1, 0.9, 0.999, 1e-4, 0.1, 1);
        float[] twin = [.. weight];
        AdamWReference.Step(twin, gradient, new float[64], new float[64], 1e-2, 1, 0.9, 0.999, 1e-4, 0.1, 1);
        float[] wrong = new float[64];
        for (int i = 0; i < wrong.Length; i++)
        {
            double g = gradient[i];
            double p = weight[i];
            double u = g / (Math.Abs(g) + 1e-4);
            wrong[i] = (float)(variant switch
            {
                "no bias correction" => (p * 0.999) - (1e-2 * 0.1 * g / ((Math.Sqrt(0.001) * Math.Abs(g)) + 1e-4)),
                "epsilon inside the root" => (p * 0.999) - (1e-2 * g / Math.Sqrt((g * g) + 1e-4)),
                "decay in the gradient" => p - (1e-2 * (g + (0.1 * p)) / (Math.Abs(g + (0.1 * p)) + 1e-4)),
                _ => (p - (1e-2 * u)) * 0.999,
            });
        }

        Assert.Null(ErrorBudget.Explain(expected, twin, twin, DType.Float32, ErrorBudget.ForwardFactor, "weight"));
        Assert.NotNull(ErrorBudget.Explain(expected, twin, wrong, DType.Float32, ErrorBudget.ForwardFactor, "weight"));
    }

    [Fact]
    public void WrongArgumentsAreRefused()
    {
        Tensor f4 = backend.Poisoned(DType.Float32, new Shape(4));
        Tensor f5 = backend.Poisoned(DType.Float32, new Shape(5));
        ArgumentException e = Assert.Throws<ArgumentException>(() => new AdamWParameter(f4, f5, f4, f4));
        Assert.Contains("gradient is Float32 (5); it must be Float32 (4)", e.Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>(() => new AdamWParameter(f4, f4, f4, f4, f4));
        Assert.Throws<ArgumentException>(() => new AdamWParameter(f4, default(RowSparseGradient), f4, f4));
        using AdamWParameters p = new(backend.Device, new AdamWParameter(f4, f4, f4, f4));
        Assert.Throws<ArgumentException>(() => GradientNorm.Run(p, 1, f4));
        Assert.Throws<ArgumentException>(() => GradientNorm.Run(p, 1, default));
        Assert.Throws<ArgumentOutOfRangeException>(() => GradientNorm.Run(p, 0, f4.Rows(0, 3)));
        Assert.Throws<ArgumentOutOfRangeException>(() => GradientNorm.Run(p, 1, f4.Rows(0, 3), 0));
        Assert.Throws<ArgumentOutOfRangeException>(() => AdamW.Step(p, new AdamWSettings(1e-3, 0)));
        Assert.Throws<ArgumentOutOfRangeException>(() => AdamW.Step(p, new AdamWSettings(double.NaN, 1)));
        Assert.Throws<ArgumentException>(() => AdamW.Step(p, new AdamWSettings(1e-3, 1), f4));
        Assert.Throws<ArgumentException>(() => AdamW.Step(p, f4));
        Assert.Throws<ArgumentException>(() => AdamW.Step(p, default(Tensor)));
        Assert.Throws<ArgumentException>(() => new AdamWSettings(1e-3, 1).Store(f4));
        using CpuDevice other = new(1);
        e = Assert.Throws<ArgumentException>(() => new AdamWParameters(other, p[0]));
        Assert.Contains("Parameter 0 lies on", e.Message, StringComparison.Ordinal);
    }

    protected static AdamWParameter Upload(Backend backend, Shape shape, float[] weight, in RowSparseGradient sparse)
    {
        Tensor w = backend.Upload(DType.Float32, shape, weight);
        Tensor first = backend.Upload(DType.Float32, shape, new float[weight.Length]);
        Tensor second = backend.Upload(DType.Float32, shape, new float[weight.Length]);
        Tensor copy = backend.Upload(DType.BFloat16, shape, weight);
        return sparse.IsPresent
            ? new AdamWParameter(w, sparse, first, second, copy)
            : new AdamWParameter(w, backend.Poisoned(DType.Float32, shape), first, second, copy);
    }
}

public sealed class EmulatedCudaForwardAdamWTests(EmulatedCudaForward backend) : AdamWTests(backend), IClassFixture<EmulatedCudaForward>;

public sealed class EmulatedCudaReverseAdamWTests(EmulatedCudaReverse backend) : AdamWTests(backend), IClassFixture<EmulatedCudaReverse>;

public sealed class EmulatedCudaRandomAdamWTests(EmulatedCudaRandom backend) : AdamWTests(backend), IClassFixture<EmulatedCudaRandom>;

public sealed class CudaAdamWTests(CudaBackend backend) : AdamWTests(backend), IClassFixture<CudaBackend>;

public sealed class CpuAdamWTests(CpuBackend backend) : AdamWTests(backend), IClassFixture<CpuBackend>
{
    private readonly CpuBackend _backend = backend;

    [Fact]
    public void AnyNumberOfThreadsGivesTheSameBits() => Repeatability.AssertSameBitsForAnyThreadCount(b =>
    {
        AdamWParameter[] parameters =
        [
            .. ((int[])[70_001, 3, 20_000]).Select((n, t) => Upload(b, new Shape(n), TestData.Normal(DType.Float32, n, (uint)t), default)),
        ];
        foreach (AdamWParameter p in parameters)
        {
            p.Gradient.CopyFrom<float>(TestData.Normal(DType.Float32, p.Weight.Count, 9));
        }

        Tensor norm = b.Poisoned(DType.Float32, new Shape(3));
        using AdamWParameters all = new(b.Device, parameters);
        GradientNorm.Run(all, 1, norm);
        AdamW.Step(all, new AdamWSettings(1e-3, 1), norm);
        return [b.Download(norm), .. parameters.Select(p => b.Download(p.Weight))];
    });

    [Fact]
    public void ACallAllocatesNothing()
    {
        using AdamWParameters parameters = new(_backend.Device, Upload(_backend, new Shape(50_000), new float[50_000], default));
        Tensor stored = _backend.Poisoned(DType.Float32, new Shape(AdamWSettings.StoredLength));
        Tensor norm = _backend.Poisoned(DType.Float32, new Shape(3));
        Repeatability.AssertNoAllocation(() =>
        {
            GradientNorm.Run(parameters, 1, norm);
            AdamW.Step(parameters, new AdamWSettings(1e-3, 1));
            new AdamWSettings(1e-3, 1).Store(stored);
            AdamW.Step(parameters, stored, norm);
        });
    }
}
