using System.Text.Json;
using CrossAlign.Models.Evaluation;
using CrossAlign.Runtime;

namespace CrossAlign.Models.Tests.Evaluation;

public sealed class TSneTests
{
    private static readonly Golden s_expected = Golden.Open("metrics/expected.safetensors");
    private static readonly JsonElement s_figures = Golden.Json("metrics/expected.json").GetProperty("tsne");
    private static readonly EmbeddingMatrix s_input = s_expected.Matrix("tsne.input");

    [Fact]
    public void AffinitiesAreThoseOfTheReference()
    {
        TSneAffinities actual = TSneAffinities.Of(s_input, 30, new ParallelOptions());
        double[] beta = s_expected.Doubles("tsne.beta_exact");
        float[] exact = s_expected.Floats("tsne.P_exact");
        float[] published = s_expected.Floats("tsne.P_sklearn");
        int place = 0;
        double sum = 0;
        for (int i = 0; i < 150; i++)
        {
            Golden.Close(beta[i], actual.Beta[i], 1e-10, $"beta[{i}]");
            Assert.Equal(0, actual.Joint[(i * 150) + i]);
            for (int j = i + 1; j < 150; j++, place++)
            {
                double p = actual.Joint[(i * 150) + j];
                Golden.Close(exact[place], p, 1e-6, $"P[{i},{j}]");
                Golden.Close(published[place], p, 3e-5, $"P[{i},{j}] of scikit-learn");
                Assert.Equal(p, actual.Joint[(j * 150) + i]);
                sum += p;
            }
        }

        Assert.Equal(0.5, sum, 12);
    }

    [Fact]
    public void TheDivergenceOfThePublishedMapIsThePublishedOne()
    {
        TSneAffinities affinities = TSneAffinities.Of(s_input, 30, new ParallelOptions());
        float[] map = s_expected.Floats("tsne.embedding_pca_seed0");
        double[] x = [.. Enumerable.Range(0, 150).Select(i => (double)map[2 * i])];
        double[] y = [.. Enumerable.Range(0, 150).Select(i => (double)map[(2 * i) + 1])];
        Golden.Close(s_figures.GetProperty("kl_pca")[0].GetDouble(), TSne.KullbackLeibler(affinities, x, y), 3e-5, "KL");
    }

    [Fact]
    public void ARunEndsInTheReferencesBandWithTheSameBitsForAnyThreads()
    {
        TSneMap map = Map(s_input, new TSneOptions { Threads = 1 });
        JsonElement band = s_figures.GetProperty("band");
        Assert.InRange(map.KullbackLeibler, band[0].GetDouble(), band[1].GetDouble());

        TSneMap again = Map(s_input, new TSneOptions { Threads = 3 });
        Assert.Equal(map.X, again.X);
        Assert.Equal(map.Y, again.Y);
    }

    [Fact]
    public void TheGradientIsThatOfTheDivergence()
    {
        // One step without exaggeration from the principal components goes along the negative gradient: central differences agree.
        const int Count = 12;
        CounterRandom random = new(3, 7, 0);
        float[] values = new float[Count * 5];
        for (int i = 0; i < values.Length; i++)
        {
            values[i] = random.NextNormal();
        }

        EmbeddingMatrix x = new(values, Count, 5);
        TSneOptions still = new() { Iterations = 0, Perplexity = 3 };
        TSneOptions one = still with { Iterations = 1, EarlyExaggeration = 1, LearningRate = 1e-3 };
        TSneMap start = Map(x, still);
        TSneMap moved = Map(x, one);
        TSneAffinities affinities = TSneAffinities.Of(x, 3, new ParallelOptions());
        double[] px = [.. start.X];
        double[] py = [.. start.Y];
        for (int i = 0; i < Count; i++)
        {
            const double H = 1e-5;
            double at = px[i];
            px[i] = at + H;
            double above = TSne.KullbackLeibler(affinities, px, py);
            px[i] = at - H;
            double below = TSne.KullbackLeibler(affinities, px, py);
            px[i] = at;

            // The first step's gain is 0.8: nothing has moved yet.
            Assert.Equal(-0.8e-3 * (above - below) / (2 * H), moved.X[i] - at, 1e-11);
        }
    }

    [Fact]
    public void ClustersStayTogether()
    {
        CounterRandom random = new(8, 1, 0);
        float[] values = new float[90 * 16];
        for (int i = 0; i < values.Length; i++)
        {
            int cluster = i / 16 / 30;
            values[i] = (i % 16 == cluster ? 5 : 0) + (0.3f * random.NextNormal());
        }

        TSneMap map = Map(new EmbeddingMatrix(values, 90, 16), new TSneOptions { Perplexity = 10 });
        for (int i = 0; i < 90; i++)
        {
            int nearest = Enumerable.Range(0, 90).Where(j => j != i)
                .MinBy(j => Math.Pow(map.X[i] - map.X[j], 2) + Math.Pow(map.Y[i] - map.Y[j], 2));
            Assert.Equal(i / 30, nearest / 30);
        }
    }

    [Fact]
    public void DegenerateInputsGiveFiniteMaps()
    {
        Assert.Empty(Map(new EmbeddingMatrix([], 0, 3)).X);
        Assert.Equal([0.0], Map(new EmbeddingMatrix([1, 2, 3], 1, 3)).X);
        foreach (EmbeddingMatrix x in (EmbeddingMatrix[])[new(new float[40 * 3], 40, 3), new([1, 0, 0, 1], 2, 2), new([1, 2, 3], 3, 1)])
        {
            TSneMap map = Map(x, new TSneOptions { Iterations = 60, ExaggeratedIterations = 20 });
            Assert.All(map.X.Concat(map.Y), p => Assert.True(double.IsFinite(p)));
            Assert.True(double.IsFinite(map.KullbackLeibler));
        }

        Assert.Throws<ArgumentException>(() => Map(new EmbeddingMatrix([float.NaN, 1], 2, 1)));
        Assert.Throws<ArgumentOutOfRangeException>(() => Map(s_input, new TSneOptions { Perplexity = 0.5 }));
    }

    [Fact]
    public void ItStopsWhenAsked()
    {
        using CancellationTokenSource source = new();
        source.Cancel();
        Assert.ThrowsAny<OperationCanceledException>(() => TSne.Run(s_input, null, source.Token));
    }

    private static TSneMap Map(EmbeddingMatrix x, TSneOptions? options = null) => TSne.Run(x, options, TestContext.Current.CancellationToken);
}
