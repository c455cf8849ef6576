using System.Text;
using CrossAlign.Models.Data;
using CrossAlign.Models.Evaluation;
using CrossAlign.Models.Experiments;
using CrossAlign.Models.Tests.Training;
using CrossAlign.Models.Training.Configuration;
using CrossAlign.Runtime;

namespace CrossAlign.Models.Tests.Experiments;

/// <summary>Finished runs of different towers in one report, and what must not stand in one.</summary>
public sealed class RunComparisonTests : IDisposable
{
    private readonly ShortRuns _runs = new();

    public void Dispose() => _runs.Dispose();

    [Fact]
    public void RunsOfDifferentTowersStandSideBySideWithTheFiguresThatEachHasAlone()
    {
        _runs.Run(Scratch("multilingual"), "first");
        _runs.Run(Scratch("multilingual") with { Seed = 2 }, "second");
        _runs.Run(Scratch("multilingual+quechua"), "joined");
        _runs.Run(Tuned(), "tuned");
        FigureReport report = Compare(["first", "second", "joined", "tuned"], out IReadOnlyList<string> names);

        Assert.Equal(["multilingual", "multilingual+quechua", "multilingual (text-tower-bert)"], names);
        Assert.Equal([1, 2], report.Run.Seeds);
        Assert.Equal([1, 2], report.Figures.Where(f => f.Setup == "multilingual").Select(f => f.Seed).Distinct());
        foreach (string name in names)
        {
            Assert.Contains(report.Figures, f => f.Setup == name && f is { Task: "bitext", From: "qu", To: "en", Set: "seen", Queries: "strict", Score: "cosine", Count: > 0 });
            Assert.Contains(report.Figures, f => f.Setup == name && f is { Task: "retrieval", From: "picture", To: "es" });
        }

        using CpuDevice device = new(1);
        using RunEvaluation alone = RunEvaluation.Open(_runs.PathOf("tuned"), device);
        ConceptEmbeddings embeddings = alone.Embed(ShapesDataSet.Create(DataSets.OptionsOf(alone.Config, ["qu"])), ["en", "es"], []);
        IReadOnlyList<Figure> figures = alone.Measure(new EvaluationPlan { Languages = ["es"], Retrieval = false, Udhr = false }, embeddings, null);
        Figure one = figures.First(f => f is { From: "es", To: "en", Set: "seen", Queries: "all", Score: "cosine" });
        Figure other = report.Figures.Single(f => f is { Setup: "multilingual (text-tower-bert)", From: "es", To: "en", Set: "seen", Queries: "all", Score: "cosine" });
        Assert.Equal((one.R1, one.Mrr, one.Pool), (other.R1, other.Mrr, other.Pool));

        string page = File.ReadAllText(_runs.PathOf("report/report.html"), Encoding.UTF8);
        Assert.Contains("Multilingual (text-tower-bert)", page, StringComparison.Ordinal);
        Assert.Contains("Started from text-tower-bert", page, StringComparison.Ordinal);
        Assert.Contains("Text tower (Multilingual; Multilingual + Quechua)", page, StringComparison.Ordinal);
        FigureReport file = FigureReport.Parse(File.ReadAllBytes(_runs.PathOf("report/report.json")), "report.json");
        Assert.Equal(report.Figures.Count, file.Figures.Count);
    }

    [Fact]
    public void ARowMayHaveANameOfItsOwn()
    {
        _runs.Run(Scratch("multilingual"), "first");
        using CpuDevice device = new(1);
        RunComparison named = new(Request(device, [(_runs.PathOf("first"), "as it was")]) with { Languages = ["en", "es"] }, _ => { });
        Assert.Equal(["as it was"], named.Names);
        Assert.All(named.Run(TestContext.Current.CancellationToken).Figures, f => Assert.Equal("as it was", f.Setup));
    }

    [Fact]
    public void WhatCannotBeComparedIsNamedBeforeAnythingIsWritten()
    {
        _runs.Run(Scratch("multilingual"), "first");
        _runs.Run(Scratch("multilingual") with { SplitSalt = "other:" }, "split");
        _runs.Run(Scratch("multilingual"), "stopped", stopAfter: 1);
        _runs.Run(Scratch("multilingual"), "again");

        AssertRefused(["first", "split"], "different splits: splitSalt is 'crossalign:' and 'other:'");
        AssertRefused(["first", "stopped"], "not finished: it has come to step 1 of 3", "train --resume");
        AssertRefused(["first", "first"], "is named twice");
        AssertRefused(["first", "again"], "would both be 'multilingual' with seed 1", "NAME=RUN");
        AssertRefused(["first", "nowhere"], "there is no run");
        AssertRefused([], "no run");

        // The same split of other data.
        string config = _runs.PathOf("again/config.json");
        File.WriteAllText(config, File.ReadAllText(config).Replace("\"shapes\"", "\"photo-album\"", StringComparison.Ordinal));
        AssertRefused(["first", "again"], "different data: shapes and photo-album");
    }

    [Fact]
    public void DataThatHasChangedSinceARunIsNamed()
    {
        _runs.Run(Scratch("multilingual"), "first");
        string record = _runs.PathOf("first/run.json");
        string checksum = ShapesDataSet.Create(new DataSetOptions { Languages = ["en"], PictureSize = 16 }).Checksum;
        File.WriteAllText(record, File.ReadAllText(record).Replace(checksum, "sha256-00", StringComparison.Ordinal));
        using CpuDevice device = new(1);
        UserErrorException e = Assert.Throws<UserErrorException>(() => new RunComparison(Request(device, [(_runs.PathOf("first"), null)]), _ => { }).Run(TestContext.Current.CancellationToken));
        Assert.Contains("is not what the run", e.What, StringComparison.Ordinal);
        Assert.False(Directory.Exists(_runs.PathOf("report")));
    }

    private static RunConfig Scratch(string setup) => RunConfigReader.From("album", setup, "shapes").Build() with
    {
        Steps = 3,
        BatchSize = 16,
        CaptionsPerPicture = 1,
        EvaluateEvery = 0,
        CheckpointEvery = 0,
        Tokenizer = new TokenizerConfig { Pieces = 600 },
        TextTower = new TextTowerConfig { Width = 32, Heads = 2, FeedForward = 48 },
        ImageTower = new ImageTowerConfig { ImageSize = 16, PatchSize = 8, Width = 32, Heads = 2, FeedForward = 48 },
        Projection = new ProjectionConfig { Width = 24 },
    };

    private RunConfig Tuned()
    {
        RunConfig config = ShortRuns.Tiny(_runs.Text("text-tower-bert"), _runs.Image("image-tower-vit"), "none", "none");
        return config with { ImageTower = Scratch("multilingual").ImageTower };
    }

    private ReportRequest Request(CpuDevice device, IReadOnlyList<(string Folder, string? Name)> runs) => new()
    {
        Runs = runs,
        OpenData = (_, options) => ShapesDataSet.Create(options),
        Device = device,
        Folder = _runs.PathOf("report"),
    };

    private FigureReport Compare(string[] runs, out IReadOnlyList<string> names)
    {
        using CpuDevice device = new(2);
        RunComparison comparison = new(Request(device, [.. runs.Select(r => (_runs.PathOf(r), (string?)null))]), _ => { });
        names = comparison.Names;
        Assert.Equal(["en", "es", "ja", "hi", "qu"], comparison.Languages);

        // The maps of captions cost most, and more with each language.
        ReportRequest request = Request(device, [.. runs.Select(r => (_runs.PathOf(r), (string?)null))]) with { Languages = ["en", "es", "qu"] };
        return new RunComparison(request, _ => { }).Run(TestContext.Current.CancellationToken);
    }

    private void AssertRefused(string[] runs, string what, string remedy = "")
    {
        using CpuDevice device = new(1);
        UserErrorException e = Assert.Throws<UserErrorException>(() => new RunComparison(Request(device, [.. runs.Select(r => (_runs.PathOf(r), (string?)null))]), _ => { }));
        Assert.Contains(what, e.What, StringComparison.Ordinal);
        Assert.Contains(remedy, e.Remedy, StringComparison.Ordinal);
        Assert.False(Directory.Exists(_runs.PathOf("report")));
    }
}
