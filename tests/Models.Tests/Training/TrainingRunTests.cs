using System.Text.Json;
using System.Text.Json.Nodes;
using CrossAlign.Models.Data;
using CrossAlign.Models.Training;
using CrossAlign.Models.Training.Configuration;
using CrossAlign.Runtime;
using CrossAlign.Runtime.Cuda;
using CrossAlign.Runtime.Cuda.Emulation;

namespace CrossAlign.Models.Tests.Training;

/// <summary>Short trainings of tiny towers on the built-in shapes: what a run writes, and that it can be killed anywhere.</summary>
public sealed class TrainingRunTests : IDisposable
{
    private readonly string _root = Directory.CreateTempSubdirectory("crossalign-test-").FullName;

    [Fact]
    public void ARunThatIsStoppedAndResumedEndsWithTheSameBytesForAnyNumberOfThreads()
    {
        RunConfig config = Tiny();
        Run(config, "whole", threads: 1);
        Run(config, "pieces", threads: 2, stopAfter: 5);
        Run(config, "pieces", threads: 1, resume: true, stopAfter: 9);
        Run(config, "pieces", threads: 2, resume: true);

        string[] files = Files("whole");
        Assert.Equal(files, Files("pieces"));
        Assert.Contains(Path.Combine("step-00000012", "optimizer.safetensors"), files);
        Assert.Contains(Path.Combine("step-00000012", "text", "tokenizer.json"), files);
        Assert.All(files, f => Assert.Equal(
            File.ReadAllBytes(Path.Combine(_root, "whole", "checkpoints", f)),
            File.ReadAllBytes(Path.Combine(_root, "pieces", "checkpoints", f))));
        Assert.Equal(Metrics("whole"), Metrics("pieces"));
    }

    [Fact]
    public void AnInterruptionSavesACheckpointThatTheNextRegularOneRemoves()
    {
        RunConfig config = Tiny();
        using CancellationTokenSource cancellation = new();
        CancelAt observer = new(cancellation, 6);
        using (CpuDevice device = new(1))
        {
            TrainingRequest request = new(config, Data(config), device, Path.Combine(_root, "run"));
            Assert.Throws<OperationCanceledException>(() => TrainingRun.Start(request, observer, cancellation.Token));
        }

        Assert.Contains(6, new RunFolder(Path.Combine(_root, "run")).CheckpointSteps());
        Run(config, "run", resume: true);
        Assert.Equal([8, 12], new RunFolder(Path.Combine(_root, "run")).CheckpointSteps());
        Assert.EndsWith("step-00000012", new RunFolder(Path.Combine(_root, "run")).KeptCheckpoint(), StringComparison.Ordinal);
    }

    [Fact]
    public void TrainingLowersTheLoss()
    {
        RunConfig config = Tiny() with { Steps = 60, EvaluateEvery = 0, CheckpointEvery = 0 };
        Run(config, "run");
        double[] losses = [.. Lines("run").Where(l => l["loss"] is not null).Select(l => l["loss"]!.GetValue<double>())];
        Assert.Equal(60, losses.Length);
        Assert.True(losses[^10..].Average() < 0.8 * losses[..10].Average(), $"{losses[..10].Average()} -> {losses[^10..].Average()}");
    }

    [Fact]
    public void ThePrecisionOfProductsIsWhatIsAskedFor()
    {
        RunConfig config = Tiny() with { Steps = 4, EvaluateEvery = 0, CheckpointEvery = 0 };
        Run(config, "f32");
        Run(config with { Precision = Precision.BF16 }, "bf16");
        Assert.NotEqual(Losses("f32"), Losses("bf16"));
        Assert.All(Losses("f32").Zip(Losses("bf16")), pair => Assert.Equal(pair.First, pair.Second, 0.02 * pair.First));

        UserErrorException e = Assert.Throws<UserErrorException>(() => Run(config with { Precision = Precision.TF32 }, "tf32"));
        Assert.Contains("'precision'", e.What, StringComparison.Ordinal);
        Assert.False(Directory.Exists(Path.Combine(_root, "tf32")));
    }

    [Fact]
    public void TheDevicesProductsAreTheCallersAgainAfterARun()
    {
        using CudaDevice device = CudaDevice.Emulate(new EmulationOptions());
        RunConfig config = Tiny() with { Steps = 0, Setup = "none", Precision = Precision.TF32, Matmul = ProductEngine.Cublas };
        TrainingRun.Start(new TrainingRequest(config, Data(config), device, Path.Combine(_root, "run")), new Silent(), CancellationToken.None);
        Assert.Equal((MatMulPrecision.Float32, MatMulEngine.Own), (device.MatMulPrecision, device.MatMulEngine));
    }

    [Fact]
    public void ExactAccumulationTakesTheStepsOfTheWholeBatchAndPlainDoesNot()
    {
        RunConfig whole = Tiny() with { Steps = 4, EvaluateEvery = 0, CheckpointEvery = 0 };
        Run(whole, "whole");
        Run(whole with { Accumulate = Accumulation.Exact, MicroBatchSize = 5 }, "exact");
        Run(whole with { Accumulate = Accumulation.Plain, MicroBatchSize = 8 }, "plain");
        double[] expected = Losses("whole");
        double[] exact = Losses("exact");
        double[] plain = Losses("plain");
        for (int i = 0; i < expected.Length; i++)
        {
            Assert.Equal(expected[i], exact[i], 1e-4 * expected[i]);
        }

        Assert.True(Math.Abs(plain[0] - expected[0]) > 0.1, "a loss over micro-batches has fewer negatives");
    }

    [Fact]
    public void ExactAccumulationReplaysDropoutAndAugmentation()
    {
        // Each micro-batch is embedded twice, in other company than in the whole batch: keys belong to examples.
        RunConfig still = Tiny() with { Steps = 4, EvaluateEvery = 0, CheckpointEvery = 0 };
        RunConfig whole = still with
        {
            Augmentation = 1,
            TextTower = still.TextTower with { Dropout = 0.2 },
            ImageTower = still.ImageTower with { Dropout = 0.2 },
        };
        Run(still, "still");
        Run(whole, "whole");
        Run(whole with { Accumulate = Accumulation.Exact, MicroBatchSize = 5 }, "exact");
        double[] expected = Losses("whole");
        double[] exact = Losses("exact");
        Assert.Equal(4, expected.Length);
        for (int i = 0; i < expected.Length; i++)
        {
            Assert.Equal(expected[i], exact[i], 1e-4 * expected[i]);
        }

        Assert.True(Math.Abs(expected[^1] - Losses("still")[^1]) > 1e-3, "dropout and augmentation change nothing here");
    }

    [Fact]
    public void TextMeetsEnglishTextWithoutPictures()
    {
        RunConfig config = Tiny() with { Objective = Objective.TextText, Setup = "eng-pivot", Steps = 3 };
        Run(config, "run");
        Assert.False(Directory.Exists(Path.Combine(new RunFolder(Path.Combine(_root, "run")).KeptCheckpoint(), "image")));
    }

    [Fact]
    public void UntrainedTowersAreARunToo()
    {
        Run(Tiny() with { Steps = 0, Setup = "none" }, "run");
        Assert.EndsWith("step-00000000", new RunFolder(Path.Combine(_root, "run")).KeptCheckpoint(), StringComparison.Ordinal);
    }

    [Fact]
    public void StepsWithoutAFiniteGradientAreNamedAndCounted()
    {
        // The first step makes weights that no later one can compute with.
        RunConfig config = Tiny() with { Steps = 5, EvaluateEvery = 0, CheckpointEvery = 0, Schedule = new ScheduleConfig { Warmup = 0 }, Optimizer = new OptimizerConfig { LearningRate = 1e38 } };
        Alarms heard = new();
        Run(config, "run", stopAfter: 3, observer: heard);
        Assert.Contains("steps changed no weight", heard.Said[^1], StringComparison.Ordinal);
        int ofFirst = heard.Said.Count - 1;
        Assert.Equal(ofFirst, heard.Said.Count(s => s.Contains("no weight was changed", StringComparison.Ordinal)));
        Assert.InRange(ofFirst, 1, 2);
        Run(config, "run", resume: true, observer: heard);
        JsonObject record = JsonNode.Parse(File.ReadAllText(Path.Combine(_root, "run", "run.json")))!.AsObject();
        Assert.Equal(ofFirst + 2, record["skippedSteps"]!.GetValue<int>());
        Assert.Equal(ofFirst + 2, Lines("run").Count(l => l["gradientNorm"]!.GetValueKind() == JsonValueKind.String));
    }

    [Fact]
    public void AFolderWithARunIsNotOverwritten()
    {
        Run(Tiny() with { Steps = 2 }, "run");
        UserErrorException e = Assert.Throws<UserErrorException>(() => Run(Tiny() with { Steps = 2 }, "run"));
        Assert.Contains("--resume", e.Remedy, StringComparison.Ordinal);
    }

    [Fact]
    public void AResumedRunKeepsItsConfigurationAndMayTakeOtherThreads()
    {
        RunConfig config = Tiny();
        Run(config, "run", stopAfter: 5);
        UserErrorException e = Assert.Throws<UserErrorException>(() => Run(config with { Seed = 9 }, "run", resume: true));
        Assert.Contains("config.json", e.What, StringComparison.Ordinal);
        Run(config with { Threads = 1 }, "run", resume: true, stopAfter: 6);
    }

    [Fact]
    public void ADamagedCheckpointIsNamedWithTheWayToGoOn()
    {
        RunConfig config = Tiny();
        Run(config, "run", stopAfter: 5);
        string optimizer = Path.Combine(_root, "run", "checkpoints", "step-00000005", "optimizer.safetensors");
        File.WriteAllBytes(optimizer, File.ReadAllBytes(optimizer)[..^100]);
        UserErrorException e = Assert.Throws<UserErrorException>(() => Run(config, "run", resume: true));
        Assert.Contains("step-00000005", e.What, StringComparison.Ordinal);
        Assert.Contains("the one before", e.Remedy, StringComparison.Ordinal);
        Directory.Delete(Path.GetDirectoryName(optimizer)!, recursive: true);
        Run(config, "run", resume: true);
    }

    [Fact]
    public void KeepBestNamesTheCheckpointOfTheBestEvaluation()
    {
        RunConfig config = Tiny() with { Steps = 12, EvaluateEvery = 3, CheckpointEvery = 6, Keep = KeepPolicy.Best, KeepLast = 1 };
        Run(config, "run");
        (int Step, double Mean)[] means = [.. Lines("run").Where(l => l["validation"] is not null)
            .Select(l => (l["step"]!.GetValue<int>(), l["validation"]!["mean"]!.GetValue<double>()))];
        Assert.Equal([3, 6, 9, 12], means.Select(m => m.Step));
        int best = means.MaxBy(m => m.Mean).Step;
        Assert.Equal($"step-{best:D8}", Path.GetFileName(new RunFolder(Path.Combine(_root, "run")).KeptCheckpoint()));
    }

    public void Dispose() => Directory.Delete(_root, recursive: true);

    private static RunConfig Tiny() => RunConfigReader.From("album", "multilingual", "shapes").Build() with
    {
        Steps = 12,
        BatchSize = 16,
        CaptionsPerPicture = 2,
        EvaluateEvery = 4,
        CheckpointEvery = 4,
        Tokenizer = new TokenizerConfig { Pieces = 600, MaxTokens = 16 },
        TextTower = new TextTowerConfig { Width = 32, Heads = 2, FeedForward = 48 },
        ImageTower = new ImageTowerConfig { ImageSize = 16, PatchSize = 8, Width = 32, Heads = 2, FeedForward = 48 },
        Projection = new ProjectionConfig { Width = 24 },
    };

    private static CaptionedPictures Data(RunConfig config) => ShapesDataSet.Create(DataSets.OptionsOf(config));

    private void Run(RunConfig config, string name, int threads = 2, bool resume = false, int? stopAfter = null, ITrainingObserver? observer = null)
    {
        using CpuDevice device = new(threads);
        TrainingRun.Start(
            new TrainingRequest(config, Data(config), device, Path.Combine(_root, name)) { Resume = resume, StopAfter = stopAfter },
            observer ?? new Silent(),
            CancellationToken.None);
    }

    private string[] Files(string name)
    {
        string folder = Path.Combine(_root, name, "checkpoints");
        return [.. Directory.GetFiles(folder, "*", SearchOption.AllDirectories).Select(f => Path.GetRelativePath(folder, f)).Order(StringComparer.Ordinal)];
    }

    private JsonObject[] Lines(string name) =>
        [.. File.ReadLines(Path.Combine(_root, name, "metrics.jsonl")).Select(l => JsonNode.Parse(l)!.AsObject())];

    private double[] Losses(string name) => [.. Lines(name).Select(l => l["loss"]!.GetValue<double>())];

    private string[] Metrics(string name) => [.. Lines(name).Select(l =>
    {
        l.Remove("time");
        l.Remove("captionsPerSecond");
        return l.ToJsonString(JsonSerializerOptions.Default);
    })];

    private class Silent : ITrainingObserver
    {
        public void Note(string message)
        {
        }

        public virtual void Alarm(string message)
        {
        }

        public virtual void StepDone(in StepReport report)
        {
        }

        public void EvaluationDone(EvaluationReport report)
        {
        }
    }

    private sealed class Alarms : Silent
    {
        public List<string> Said { get; } = [];

        public override void Alarm(string message) => Said.Add(message);
    }

    private sealed class CancelAt(CancellationTokenSource source, int step) : Silent
    {
        public override void StepDone(in StepReport report)
        {
            if (report.Step == step)
            {
                source.Cancel();
            }
        }
    }
}
