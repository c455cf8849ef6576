using System.Text;
using System.Text.Json;
using CrossAlign.Models.Evaluation;

namespace CrossAlign.Models.Tests.Evaluation;

public sealed class FigureTests
{
    [Fact]
    public void TheReportHasTheAgreedForm()
    {
        JsonElement json = JsonDocument.Parse(Bytes(Report())).RootElement;
        Assert.Equal("crossalign/figures/1", json.GetProperty("schema").GetString());
        Assert.Equal(["schema", "figures", "throughput", "run"], json.EnumerateObject().Select(p => p.Name));
        JsonElement figure = json.GetProperty("figures")[0];
        Assert.Equal(
            [
                "setup", "seed", "task", "from", "to", "set", "style", "queries", "score", "count", "pool", "r1", "r5", "r10", "mrr",
                "medianRank", "wilson95", "baseline",
            ],
            figure.EnumerateObject().Select(p => p.Name));
        Assert.Equal(JsonValueKind.Null, figure.GetProperty("style").ValueKind);
        Assert.Equal("strict", figure.GetProperty("queries").GetString());
        Assert.Equal("csls", figure.GetProperty("score").GetString());
        Assert.Equal(0.75, figure.GetProperty("r1").GetDouble());
        Assert.Equal(2, figure.GetProperty("wilson95").GetArrayLength());
        Assert.Equal("char 1-4-gram tf-idf", figure.GetProperty("baseline").GetProperty("name").GetString());
        Assert.Equal(0.082, figure.GetProperty("baseline").GetProperty("r1").GetDouble());
        Assert.Equal(
            ["setup", "captionsPerSecond", "picturesPerSecond", "seconds"],
            json.GetProperty("throughput")[0].EnumerateObject().Select(p => p.Name));
        Assert.Equal(
            ["version", "commit", "device", "threads", "seeds", "data", "started", "seconds"],
            json.GetProperty("run").EnumerateObject().Select(p => p.Name));
    }

    [Fact]
    public void WhatIsWrittenIsReadBack()
    {
        byte[] bytes = Bytes(Report());
        FigureReport read = FigureReport.Parse(bytes, "report.json");
        Assert.Equal(bytes, Bytes(read));
        Assert.Equal(3, read.Figures.Count);
    }

    [Fact]
    public void RatesThatDoNotExistAreNull()
    {
        Figure none = Of("a", 1, RetrievalMetrics.FromRanks([], 7));
        JsonElement json = JsonDocument.Parse(Bytes(Report() with { Figures = [none] })).RootElement.GetProperty("figures")[0];
        Assert.Equal(JsonValueKind.Null, json.GetProperty("r1").ValueKind);
        Assert.Equal(7, json.GetProperty("pool").GetInt32());
    }

    [Theory]
    [InlineData("{}")]
    [InlineData("[1, 2")]
    [InlineData("""{"schema": "crossalign/figures/2", "figures": [], "throughput": [], "run": null}""")]
    public void OtherDocumentsAreRefusedByName(string json)
    {
        UserErrorException e = Assert.Throws<UserErrorException>(() => FigureReport.Parse(Encoding.UTF8.GetBytes(json), "old/report.json"));
        Assert.Contains("old/report.json", e.What, StringComparison.Ordinal);
        Assert.NotEmpty(e.Remedy);
    }

    [Fact]
    public void SeedsGiveMeanAndSpread()
    {
        FigureReport report = Report();
        SeedStatistics statistics = SeedStatistics.Of(report.Figures.Where(f => f.Setup == "multilingual")).Single();
        Assert.Equal(2, statistics.Seeds);
        Assert.Equal(0.625, statistics.Mean!.Value, 12);
        Assert.Equal(Math.Sqrt(2 * 0.125 * 0.125), statistics.Deviation!.Value, 12);
        Assert.Equal(WilsonInterval.OfShare(0.625, 4), statistics.Interval);
        Assert.Equal(0.082, statistics.Baseline!.Value, 12);

        SeedStatistics single = SeedStatistics.Of(report.Figures.Where(f => f.Setup == "none")).Single();
        Assert.Null(single.Deviation);
        Assert.Throws<ArgumentException>(() => SeedStatistics.Of([report.Figures[0], report.Figures[0]]));
    }

    [Fact]
    public void FiguresAreFilteredAndPivoted()
    {
        Figure[] figures = [.. Report().Figures, Of("none", 1, Metrics(1, 1, 1, 1)) with { From = "ja" }];
        FigureTable table = FigureTable.Pivot(new FigureFilter { Task = "bitext", Score = "csls" }.Apply(figures), f => f.Setup, f => f.From);
        Assert.Equal(["multilingual", "none"], table.Rows);
        Assert.Equal(["qu", "ja"], table.Columns);
        Assert.Equal(1, table["none", "ja"]!.Mean);
        Assert.Null(table["multilingual", "ja"]);
        Assert.Empty(new FigureFilter { From = "hi" }.Apply(figures));
        Assert.Throws<ArgumentException>(() => FigureTable.Pivot(figures, f => f.Setup, _ => "all"));
    }

    [Fact]
    public void ScoresAreReadByName()
    {
        foreach (SimilarityScore score in Enum.GetValues<SimilarityScore>())
        {
            Assert.Equal(score, FigureNames.ParseScore(FigureNames.Of(score)));
        }

        Assert.Contains("centred", Assert.Throws<UserErrorException>(() => FigureNames.ParseScore("euclid")).Remedy, StringComparison.Ordinal);
    }

    private static FigureReport Report() => new()
    {
        Figures =
        [
            Of("multilingual", 1, Metrics(1, 1, 1, 7)),
            Of("multilingual", 2, Metrics(1, 2, 1, 7)),
            Of("none", 1, Metrics(9, 8, 7, 6)),
        ],
        Throughput = [new SetupThroughput("multilingual", 3000, 750, 80)],
        Run = new FigureRun("0.1.0", null, "cpu", 2, [1, 2], "photo-album", DateTimeOffset.UnixEpoch, 12.5),
    };

    private static RetrievalMetrics Metrics(params int[] ranks) => RetrievalMetrics.FromRanks(ranks, 10);

    private static Figure Of(string setup, long seed, RetrievalMetrics metrics)
    {
        FigureOrigin origin = new(setup, seed);
        Figure figure = Figure.Of(
            origin, metrics, FigureTasks.Bitext, "qu", "en", "seen", QuerySubset.Strict, SimilarityScore.Csls);
        return figure with { Baseline = new FigureBaseline(FigureBaseline.NGramName, 0.082) };
    }

    private static byte[] Bytes(FigureReport report)
    {
        using MemoryStream stream = new();
        report.Write(stream);
        return stream.ToArray();
    }
}
