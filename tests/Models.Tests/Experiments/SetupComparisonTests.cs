using System.Text;
using CrossAlign.Models.Data;
using CrossAlign.Models.Evaluation;
using CrossAlign.Models.Experiments;
using CrossAlign.Models.Training;
using CrossAlign.Models.Training.Configuration;
using CrossAlign.Runtime;

namespace CrossAlign.Models.Tests.Experiments;

/// <summary>The demo's comparison from end to end, with towers and steps that take seconds.</summary>
public sealed class SetupComparisonTests : IDisposable
{
    private static readonly string[] s_languages = ["en", "es", "ja", "hi", "qu"];

    private readonly string _root = Directory.CreateTempSubdirectory("crossalign-test-").FullName;

    [Fact]
    public void AComparisonTrainsMeasuresAndWritesTheReportAndIsNotTrainedTwice()
    {
        using CpuDevice device = new();
        List<string> started = [];
        FigureReport first = Compare(device, started);
        FigureReport second = Compare(device, started, threads: 3);

        // Other threads are no other configuration. The second time everything was there already.
        Assert.Equal(["none", "multilingual+quechua"], started);
        Assert.Equal(first.Figures.Select(Text), second.Figures.Select(Text));

        FigureReport file = FigureReport.Parse(File.ReadAllBytes(Path.Combine(_root, "report.json")), "report.json");
        Assert.Equal(second.Figures.Select(Text), file.Figures.Select(Text));
        Assert.All(s_languages[1..], l => Assert.Contains(
            file.Figures,
            f => f is { Setup: "multilingual+quechua", Task: "bitext", To: "en", Set: "seen", Queries: "strict", Score: "cosine" } && f.From == l && f.Count > 0 && f.Baseline is not null));
        Assert.Contains(file.Figures, f => f is { Task: "retrieval", From: "picture", To: "qu", Set: "unseen" });
        Assert.Single(file.Throughput);

        string page = File.ReadAllText(Path.Combine(_root, "report.html"), Encoding.UTF8);
        Assert.Contains("data:image/png;base64,", page, StringComparison.Ordinal);
        Assert.DoesNotContain("<script src", page, StringComparison.Ordinal);
        Assert.DoesNotContain("https://", page, StringComparison.Ordinal);
    }

    [Fact]
    public void ARunOfAnotherConfigurationIsNotTakenForThisOne()
    {
        using CpuDevice device = new();
        Compare(device, []);
        UserErrorException e = Assert.Throws<UserErrorException>(() => Compare(device, [], steps: 7));
        Assert.Contains("another configuration", e.What, StringComparison.Ordinal);
    }

    public void Dispose() => Directory.Delete(_root, recursive: true);

    // The score as text: a list inside a record is compared by reference.
    private static string Text(Figure f) => $"{f.Setup} {f.Seed} {f.Task} {f.From} {f.To} {f.Set} {f.Style} {f.Queries} {f.Score} {f.Count} {f.Pool} {f.R1:R} {f.Mrr:R}";

    private static RunConfig Tiny(string setup, long seed, int steps, int threads)
    {
        RunConfig config = RunConfigReader.From("album", setup, "shapes").Build();
        return config with
        {
            Seed = seed,
            Threads = threads,
            Steps = Math.Min(config.Steps, steps),
            BatchSize = 16,
            EvaluateEvery = 2,
            CheckpointEvery = 0,
            Tokenizer = new TokenizerConfig { Pieces = 600 },
            TextTower = new TextTowerConfig { Width = 32, Heads = 2, FeedForward = 48 },
            ImageTower = new ImageTowerConfig { ImageSize = 16, PatchSize = 8, Width = 32, Heads = 2, FeedForward = 48 },
            Projection = new ProjectionConfig { Width = 24 },
        };
    }

    private FigureReport Compare(CpuDevice device, List<string> started, int steps = 5, int threads = 0)
    {
        ComparisonRequest request = new()
        {
            ConfigOf = (setup, seed) => Tiny(setup, seed, steps, threads),
            Setups = ["none", "multilingual+quechua"],
            Seeds = [1],
            Data = ShapesDataSet.Create(new DataSetOptions { Languages = s_languages, PictureSize = 16 }),
            Languages = s_languages,
            Device = device,
            Folder = _root,
            Notices = ["A notice."],
        };
        return new SetupComparison(
            request,
            config =>
            {
                started.Add(config.Setup);
                return new Silent();
            },
            _ => { }).Run(TestContext.Current.CancellationToken);
    }

    private sealed class Silent : ITrainingObserver
    {
        public void Note(string message)
        {
        }

        public void Alarm(string message)
        {
        }

        public void StepDone(in StepReport report)
        {
        }

        public void EvaluationDone(EvaluationReport report)
        {
        }
    }
}
