using System.Text.Json;
using CrossAlign.Models.Evaluation;
using CrossAlign.Runtime;

namespace CrossAlign.Models.Tests.Evaluation;

public sealed class RetrievalTests
{
    private static readonly Golden s_inputs = Golden.Open("metrics/inputs.safetensors");
    private static readonly Golden s_expected = Golden.Open("metrics/expected.safetensors");
    private static readonly JsonElement s_figures = Golden.Json("metrics/expected.json");

    public static TheoryData<string, string, string> Comparisons()
    {
        TheoryData<string, string, string> data = [];
        foreach (string pair in (string[])["ab", "ba", "ac", "ca", "bc", "cb"])
        {
            foreach (string score in (string[])["cosine", "dot", "csls", "margin"])
            {
                data.Add(pair[..1], pair[1..], score);
            }
        }

        return data;
    }

    public static TheoryData<string, string> Pairs() => new() { { "a", "b" }, { "b", "a" }, { "a", "c" }, { "c", "a" }, { "b", "c" }, { "c", "b" } };

    [Theory]
    [MemberData(nameof(Comparisons))]
    public void RanksAndFiguresAreThoseOfTheReference(string from, string to, string score)
    {
        string key = $"{from}->{to}.{score}";
        ScoreRows scores = Scores(from, to, Parse(score));
        int[] ranks = Retrieval.Ranks(scores);

        Assert.Equal(s_expected.Ints(key + ".ranks"), ranks);
        Assert.Equal(s_expected.Ints(key + ".top1"), Retrieval.Top1(scores));
        AssertFigures(s_figures.GetProperty("retrieval").GetProperty(key), RetrievalMetrics.FromRanks(ranks, scores.PoolCount));

        float[] rows = s_expected.Floats(key + ".rows0-2");
        scores.ForEach((query, row) =>
        {
            for (int j = 0; query < 3 && j < row.Length; j++)
            {
                float expected = rows[(query * row.Length) + j];
                Assert.True(Math.Abs(row[j] - expected) <= 1e-5 * Math.Max(1, Math.Abs(expected)), $"{key}[{query},{j}]: {row[j]:R} != {expected:R}");
            }
        });
    }

    [Theory]
    [MemberData(nameof(Comparisons))]
    public void NeighbourhoodMeansAreThoseOfTheReference(string from, string to, string score)
    {
        ScoreRows scores = Scores(from, to, Parse(score));
        if (score is "cosine" or "dot")
        {
            Assert.Equal(0, scores.QueryMeans.Length);
            return;
        }

        float[] expected = s_expected.Floats($"{from}->{to}.{score}.r");
        for (int i = 0; i < expected.Length; i++)
        {
            Golden.Close(expected[i], scores.QueryMeans[i], 1e-6, $"{from}->{to}.{score}.r[{i}]");
        }
    }

    [Theory]
    [MemberData(nameof(Pairs))]
    public void XsimChoosesAsTheReference(string from, string to)
    {
        EmbeddingMatrix x = s_inputs.Matrix("x." + from);
        EmbeddingMatrix y = s_inputs.Matrix("x." + to);
        Assert.Equal(s_expected.Ints($"{from}->{to}.xsim.top1"), Retrieval.Top1(new ScoreRows(x, y, SimilarityScore.Xsim)));
        Assert.Equal(s_figures.GetProperty("retrieval").GetProperty($"{from}->{to}.xsim_error").GetDouble(), Retrieval.XsimError(x, y), 12);
    }

    [Theory]
    [MemberData(nameof(Pairs))]
    public void GroupsGiveTheReferencesMeanAveragePrecision(string from, string to)
    {
        int[] groups = s_inputs.Ints("group");
        GroupedRetrievalMetrics actual = Retrieval.Grouped(Scores(from, to, SimilarityScore.Cosine), groups, groups);
        JsonElement expected = s_figures.GetProperty("retrieval").GetProperty($"{from}->{to}.groups");
        Golden.Close(expected.GetProperty("mAP").GetDouble(), actual.MeanAveragePrecision, 1e-9, "mAP");
        Assert.Equal(expected.GetProperty("relevant_per_query").GetDouble(), actual.RelevantPerQuery);
        Assert.Equal(expected.GetProperty("any-relevant-R@1").GetDouble(), actual.AnyRelevant.R1, 12);
        Assert.Equal(expected.GetProperty("any-relevant-R@5").GetDouble(), actual.AnyRelevant.R5, 12);
        Assert.Equal(expected.GetProperty("any-relevant-R@10").GetDouble(), actual.AnyRelevant.R10, 12);
        Golden.Close(expected.GetProperty("any-relevant-MRR").GetDouble(), actual.AnyRelevant.Mrr, 1e-12, "MRR");
    }

    [Theory]
    [InlineData("x", "y")]
    [InlineData("y", "x")]
    public void ExactTiesAreBrokenAgainstUs(string from, string to)
    {
        ScoreRows scores = new(s_inputs.Matrix("ties." + from), s_inputs.Matrix("ties." + to), SimilarityScore.Dot);
        int[] ranks = Retrieval.Ranks(scores);
        Assert.Equal(s_expected.Ints($"ties.{from}->{to}.ranks"), ranks);
        AssertFigures(s_figures.GetProperty("ties").GetProperty($"{from}->{to}"), RetrievalMetrics.FromRanks(ranks, 40));

        int[] groups = s_inputs.Ints("ties.group");
        GroupedRetrievalMetrics grouped = Retrieval.Grouped(scores, groups, groups);
        JsonElement expected = s_figures.GetProperty("ties").GetProperty($"{from}->{to}.groups");
        Golden.Close(expected.GetProperty("mAP").GetDouble(), grouped.MeanAveragePrecision, 1e-12, "mAP");
        Golden.Close(expected.GetProperty("any-relevant-R@1").GetDouble(), grouped.AnyRelevant.R1, 1e-12, "R@1");
        Golden.Close(expected.GetProperty("any-relevant-MRR").GetDouble(), grouped.AnyRelevant.Mrr, 1e-12, "MRR");
    }

    [Theory]
    [InlineData("csls")]
    [InlineData("margin")]
    public void NeighbourhoodsShrinkToASmallPool(string score)
    {
        ScoreRows scores = new(s_inputs.Matrix("small.a"), s_inputs.Matrix("small.b"), Parse(score));
        float[] expected = s_expected.Floats($"small.a->b.{score}");
        scores.ForEach((query, row) =>
        {
            for (int j = 0; j < row.Length; j++)
            {
                Assert.Equal(expected[(query * 6) + j], row[j], 1e-5);
            }
        });
    }

    [Fact]
    public void CentredIsTheCosineOfUnitRowsLessTheirMean()
    {
        EmbeddingMatrix x = s_inputs.Matrix("x.a");
        EmbeddingMatrix y = s_inputs.Matrix("x.c");
        double[] mx = x.Normalized().Mean();
        double[] my = y.Normalized().Mean();
        new ScoreRows(x, y, SimilarityScore.Centred).ForEach((query, row) =>
        {
            for (int j = 0; j < row.Length; j++)
            {
                double xy = 0;
                double xx = 0;
                double yy = 0;
                double nx = Norm(x.Row(query));
                double ny = Norm(y.Row(j));
                for (int d = 0; d < x.Columns; d++)
                {
                    double p = (x.Row(query)[d] / nx) - mx[d];
                    double q = (y.Row(j)[d] / ny) - my[d];
                    (xy, xx, yy) = (xy + (p * q), xx + (p * p), yy + (q * q));
                }

                Assert.Equal(xy / Math.Sqrt(xx * yy), row[j], 2e-6);
            }
        });
    }

    [Fact]
    public void ACopyOfTheRightItemElsewhereInTheTileCostsARank()
    {
        // 300 items: the copies lie in the body and in the ragged end of whatever tile the product uses. Equal vectors, equal bits.
        const int Count = 300;
        const int Width = 37;
        CounterRandom random = new(5, 1, 0);
        float[] values = new float[Count * Width];
        for (int i = 0; i < values.Length; i++)
        {
            values[i] = random.NextSingle() - 0.5f;
        }

        values.AsSpan(3 * Width, Width).CopyTo(values.AsSpan((Count - 1) * Width));
        values.AsSpan(3 * Width, Width).CopyTo(values.AsSpan(170 * Width));
        EmbeddingMatrix x = new(values, Count, Width);
        foreach (SimilarityScore score in Enum.GetValues<SimilarityScore>())
        {
            int[] ranks = Retrieval.Ranks(new ScoreRows(x, x, score));
            if (score is not SimilarityScore.Dot)
            {
                Assert.Equal(3, ranks[3]);
            }

            Assert.Equal(ranks[3], ranks[170]);
            Assert.Equal(ranks[3], ranks[Count - 1]);
        }
    }

    [Fact]
    public void AScoreThatIsNoNumberCountsAgainstUs()
    {
        float[] values = [1, 0, 0, 1, 1, 1];
        EmbeddingMatrix queries = new(values, 3, 2);
        values[2] = float.NaN;
        int[] ranks = Retrieval.Ranks(new ScoreRows(queries, new EmbeddingMatrix(values, 3, 2), SimilarityScore.Dot));
        Assert.Equal([3, 3, 2], ranks);
    }

    [Fact]
    public void TheNumberOfThreadsChangesNoBit()
    {
        using CpuDevice one = new(1);
        using CpuDevice three = new(3);
        double[] first = Collect(new ScoreRows(s_inputs.Matrix("x.a"), s_inputs.Matrix("x.b"), SimilarityScore.Csls, one));
        double[] second = Collect(new ScoreRows(s_inputs.Matrix("x.a"), s_inputs.Matrix("x.b"), SimilarityScore.Csls, three));
        Assert.Equal(first, second);
    }

    [Fact]
    public void EmptySidesGiveNoFigures()
    {
        EmbeddingMatrix empty = new([], 0, 64);
        Assert.Empty(Retrieval.Ranks(new ScoreRows(empty, s_inputs.Matrix("x.a"), SimilarityScore.Margin)));
        RetrievalMetrics none = RetrievalMetrics.FromRanks([], 10);
        Assert.Equal(0, none.Count);
        Assert.True(double.IsNaN(none.R1));
        Assert.Equal(new WilsonInterval(0, 1), none.R1Interval);
    }

    [Fact]
    public void WrongSizesAreErrors()
    {
        Assert.Throws<ArgumentException>(() => new ScoreRows(new EmbeddingMatrix(new float[4], 2, 2), new EmbeddingMatrix(new float[3], 1, 3), SimilarityScore.Dot));
        Assert.Throws<ArgumentException>(() => new EmbeddingMatrix(new float[5], 2, 2));
        Assert.Throws<ArgumentException>(() => Retrieval.Ranks(Scores("a", "b", SimilarityScore.Dot), [1, 2]));
        Assert.Throws<ArgumentOutOfRangeException>(() => RetrievalMetrics.FromRanks([0], 3));
        Assert.Throws<ArgumentOutOfRangeException>(() => WilsonInterval.Of(3, 2));
    }

    [Fact]
    public void WilsonIntervalsAreThoseOfTheReference()
    {
        foreach (JsonElement expected in s_figures.GetProperty("wilson_95").EnumerateArray())
        {
            WilsonInterval actual = WilsonInterval.Of(expected.GetProperty("successes").GetInt64(), expected.GetProperty("n").GetInt64());
            Assert.Equal(expected.GetProperty("low").GetDouble(), actual.Low, 1e-14);
            Assert.Equal(expected.GetProperty("high").GetDouble(), actual.High, 1e-14);
        }
    }

    [Theory]
    [MemberData(nameof(Pairs))]
    public void HubsAreThoseOfTheReference(string from, string to)
    {
        Hubness actual = Hubness.Measure(s_inputs.Matrix("x." + from), s_inputs.Matrix("x." + to));
        Assert.Equal(s_expected.Ints($"{from}->{to}.hubness.in_degree"), actual.InDegree);
        AssertHubs(s_figures.GetProperty("retrieval").GetProperty($"{from}->{to}.hubness_k10"), actual);
    }

    internal static void AssertHubs(JsonElement expected, Hubness actual)
    {
        Golden.Close(expected.GetProperty("skewness").GetDouble(), actual.Skewness, 1e-6, "skewness");
        Golden.Close(expected.GetProperty("top_1_percent_share").GetDouble(), actual.TopShare, 1e-12, "share of the top 1 %");
        Assert.Equal(expected.GetProperty("largest_in_degree").GetInt32(), actual.LargestInDegree);
        Assert.Equal(expected.GetProperty("top_1_percent_items").GetInt32(), actual.TopItems);
    }

    private static ScoreRows Scores(string from, string to, SimilarityScore score) =>
        new(s_inputs.Matrix("x." + from), s_inputs.Matrix("x." + to), score);

    private static SimilarityScore Parse(string score) => Enum.Parse<SimilarityScore>(score, ignoreCase: true);

    private static double Norm(ReadOnlySpan<float> row)
    {
        double sum = 0;
        foreach (float x in row)
        {
            sum += (double)x * x;
        }

        return Math.Sqrt(sum);
    }

    private static double[] Collect(ScoreRows scores)
    {
        double[] all = new double[scores.QueryCount * scores.PoolCount];
        scores.ForEach((query, row) => row.CopyTo(all.AsSpan(query * scores.PoolCount)));
        return all;
    }

    private static void AssertFigures(JsonElement expected, RetrievalMetrics actual)
    {
        Assert.Equal(expected.GetProperty("queries").GetInt32(), actual.Count);
        Assert.Equal(expected.GetProperty("pool").GetInt32(), actual.Pool);
        Assert.Equal(expected.GetProperty("R@1").GetDouble(), actual.R1, 12);
        Assert.Equal(expected.GetProperty("R@5").GetDouble(), actual.R5, 12);
        Assert.Equal(expected.GetProperty("R@10").GetDouble(), actual.R10, 12);
        Golden.Close(expected.GetProperty("MRR").GetDouble(), actual.Mrr, 1e-12, "MRR");
        Assert.Equal(expected.GetProperty("median_rank").GetDouble(), actual.MedianRank);
    }
}
