using System.Text.Json;
using CrossAlign.Models.Evaluation;
using CrossAlign.Runtime;

namespace CrossAlign.Models.Tests.Evaluation;

public sealed class EmbeddingGeometryTests
{
    private const double Tolerance = 1e-6;

    private static readonly Golden s_inputs = Golden.Open("metrics/inputs.safetensors");
    private static readonly Golden s_expected = Golden.Open("metrics/expected.safetensors");
    private static readonly JsonElement s_figures = Golden.Json("metrics/expected.json");

    [Theory]
    [InlineData("a")]
    [InlineData("b")]
    [InlineData("c")]
    public void MeasuresOfOneLanguageAreThoseOfTheReference(string language)
    {
        EmbeddingMatrix x = s_inputs.Matrix("x." + language);
        JsonElement expected = s_figures.GetProperty("geometry").GetProperty(language);
        Check("effective_rank_energy", SpectralGeometry.EffectiveRank(x, EffectiveRankKind.Energy, centred: true));
        Check("effective_rank_energy_unit_rows", SpectralGeometry.EffectiveRank(x.Normalized(), EffectiveRankKind.Energy, centred: true));
        Check("effective_rank_roy_vetterli", SpectralGeometry.EffectiveRank(x, EffectiveRankKind.RoyVetterli, centred: false));
        Check("effective_rank_roy_vetterli_centred", SpectralGeometry.EffectiveRank(x, EffectiveRankKind.RoyVetterli, centred: true));
        Check("poz", EmbeddingGeometry.ProportionNearZero(x));
        Check("entropy", EmbeddingGeometry.Entropy(x));
        Check("mean_pairwise_cosine", EmbeddingGeometry.MeanPairwiseCosine(x));
        Check("isoscore", SpectralGeometry.IsoScore(x));
        Check("isoscore_unit_rows", SpectralGeometry.IsoScore(x.Normalized()));
        Check("uniformity", EmbeddingGeometry.Uniformity(x));
        RetrievalTests.AssertHubs(expected.GetProperty("hubness_within_k10"), Hubness.Measure(x, x));

        void Check(string name, double actual) => Golden.Close(expected.GetProperty(name).GetDouble(), actual, Tolerance, name);
    }

    [Theory]
    [InlineData("a", "b")]
    [InlineData("a", "c")]
    [InlineData("b", "c")]
    public void MeasuresOfTwoLanguagesAreThoseOfTheReference(string first, string second)
    {
        EmbeddingMatrix x = s_inputs.Matrix("x." + first);
        EmbeddingMatrix y = s_inputs.Matrix("x." + second);
        JsonElement expected = s_figures.GetProperty("pairs").GetProperty(first + second);
        Check("gram_correlation", EmbeddingGeometry.GramCorrelation(x, y));
        Check("alignment", EmbeddingGeometry.Alignment(x, y));
        Check("modality_gap", EmbeddingGeometry.ModalityGap(x, y));
        Check("centroid_cosine", EmbeddingGeometry.CentroidCosine(x, y));
        Check("neighbour_overlap_k10", EmbeddingGeometry.NeighbourOverlap(x, y));

        void Check(string name, double actual) => Golden.Close(expected.GetProperty(name).GetDouble(), actual, Tolerance, name);
    }

    [Theory]
    [InlineData("a", "b")]
    [InlineData("a", "c")]
    [InlineData("b", "c")]
    public void ProcrustesFindsTheReferencesMap(string first, string second)
    {
        EmbeddingMatrix x = s_inputs.Matrix("x." + first);
        EmbeddingMatrix y = s_inputs.Matrix("x." + second);
        Procrustes map = Procrustes.Fit(x, y);
        JsonElement expected = s_figures.GetProperty("pairs").GetProperty(first + second);
        JsonElement whole = expected.GetProperty("procrustes");
        double[] w = s_expected.Doubles($"{first}{second}.procrustes.W");
        double[,] actual = map.Map();
        for (int i = 0; i < w.Length; i++)
        {
            Assert.Equal(w[i], actual[i / 64, i % 64], 1e-6);
        }

        Golden.Close(whole.GetProperty("sum_of_singular_values").GetDouble(), map.SingularValues.Sum(), Tolerance, "sum of singular values");
        Golden.Close(whole.GetProperty("largest_singular_value").GetDouble(), map.SingularValues[0], Tolerance, "largest singular value");
        Golden.Close(whole.GetProperty("residual").GetDouble(), map.Residual, Tolerance, "residual");
        Assert.Equal(whole.GetProperty("R@1_before").GetDouble(), FirstRate(x, y), 12);
        Assert.Equal(whole.GetProperty("R@1_after").GetDouble(), FirstRate(map.Apply(x), y), 12);

        int[] learned = [.. Enumerable.Range(0, 100)];
        int[] scored = [.. Enumerable.Range(100, 100)];
        Procrustes half = Procrustes.Fit(x.Select(learned), y.Select(learned));
        ScoreRows scores = new(half.Apply(x.Select(scored)), y.Select(scored), SimilarityScore.Cosine);
        RetrievalMetrics figures = RetrievalMetrics.FromRanks(Retrieval.Ranks(scores), 100);
        JsonElement held = expected.GetProperty("procrustes_first_half");
        Assert.Equal(held.GetProperty("R@1_second_half").GetDouble(), figures.R1, 12);
        Golden.Close(held.GetProperty("MRR_second_half").GetDouble(), figures.Mrr, 1e-9, "MRR");
    }

    [Fact]
    public void ProcrustesIsOrthogonal()
    {
        double[,] w = Procrustes.Fit(s_inputs.Matrix("x.a"), s_inputs.Matrix("x.c")).Map();
        for (int i = 0; i < 64; i++)
        {
            for (int j = 0; j < 64; j++)
            {
                double sum = 0;
                for (int k = 0; k < 64; k++)
                {
                    sum += w[i, k] * w[j, k];
                }

                Assert.Equal(i == j ? 1 : 0, sum, 1e-12);
            }
        }
    }

    [Fact]
    public void TheProbeReachesTheReferencesOptimum()
    {
        (EmbeddingMatrix x, int[] labels) = Stacked();
        int[] test = [.. Enumerable.Range(0, 600).Where(i => i % 10 < 3)];
        int[] train = [.. Enumerable.Range(0, 600).Where(i => i % 10 >= 3)];
        LanguageProbe probe = LanguageProbe.Fit(x.Select(train), [.. train.Select(i => labels[i])], 3);
        JsonElement expected = s_figures.GetProperty("language_probe").GetProperty("fixed_split");
        Golden.Close(expected.GetProperty("objective").GetDouble(), probe.Objective, 1e-6, "objective");
        Assert.Equal(expected.GetProperty("accuracy").GetDouble(), probe.Accuracy(x.Select(test), [.. test.Select(i => labels[i])]), 0.01);

        double[] coefficients = s_expected.Doubles("probe.coef");
        double[,] actual = probe.Coefficients();
        for (int i = 0; i < coefficients.Length; i++)
        {
            Assert.Equal(coefficients[i], actual[i / 64, i % 64], 1e-3);
        }
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void HeldOutAccuracyLiesInTheReferencesBand(int seed)
    {
        (EmbeddingMatrix x, int[] labels) = Stacked();
        JsonElement band = s_figures.GetProperty("language_probe").GetProperty("band");
        Assert.InRange(LanguageProbe.HeldOutAccuracy(x, labels, 3, (ulong)seed), band[0].GetDouble(), band[1].GetDouble());
    }

    [Fact]
    public void TheProbeIsAtChanceWhereLabelsSayNothing()
    {
        (EmbeddingMatrix x, _) = Stacked();
        int[] labels = [.. Enumerable.Range(0, 600).Select(i => CounterRandomLabel(i))];
        Assert.InRange(LanguageProbe.HeldOutAccuracy(x, labels, 3, 1), 0.2, 0.47);

        static int CounterRandomLabel(int i) => new CounterRandom(9, 2, (uint)i).Next(3);
    }

    [Fact]
    public void GramCorrelationSamplesLargeSetsBySeed()
    {
        EmbeddingMatrix x = s_inputs.Matrix("x.a");
        EmbeddingMatrix y = s_inputs.Matrix("x.b");
        double sampled = EmbeddingGeometry.GramCorrelation(x, y, maxRows: 150, seed: 4);
        Assert.Equal(sampled, EmbeddingGeometry.GramCorrelation(x, y, maxRows: 150, seed: 4));
        Assert.NotEqual(sampled, EmbeddingGeometry.GramCorrelation(x, y, maxRows: 150, seed: 5));
        Assert.Equal(EmbeddingGeometry.GramCorrelation(x, y), sampled, 0.1);
    }

    [Fact]
    public void IsotropicVectorsGiveThePublishedValues()
    {
        float[] values = new float[2000 * 512];
        CounterRandom random = new(1, 3, 0);
        for (int i = 0; i < values.Length; i++)
        {
            values[i] = random.NextNormal();
        }

        EmbeddingMatrix x = new(values, 2000, 512);
        Assert.Equal(0.0181, EmbeddingGeometry.ProportionNearZero(x), 3e-4);
        Assert.Equal(1.095, EmbeddingGeometry.Entropy(x), 5e-3);
        Assert.Equal(0, EmbeddingGeometry.MeanPairwiseCosine(x), 1e-3);
        Assert.True(SpectralGeometry.EffectiveRank(x, EffectiveRankKind.Energy, centred: true) > 400);
    }

    private static double FirstRate(EmbeddingMatrix x, EmbeddingMatrix y) =>
        RetrievalMetrics.FromRanks(Retrieval.Ranks(new ScoreRows(x, y, SimilarityScore.Cosine)), y.Rows).R1;

    private static (EmbeddingMatrix Rows, int[] Labels) Stacked()
    {
        float[] all = [.. s_inputs.Floats("x.a"), .. s_inputs.Floats("x.b"), .. s_inputs.Floats("x.c")];
        return (new EmbeddingMatrix(all, 600, 64), [.. Enumerable.Range(0, 600).Select(i => i / 200)]);
    }
}
