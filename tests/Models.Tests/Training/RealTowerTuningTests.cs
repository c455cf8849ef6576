using System.Security.Cryptography;
using CrossAlign.Models.Checkpoints;
using CrossAlign.Models.Data;
using CrossAlign.Models.Encoders;
using CrossAlign.Models.Tokenization;
using CrossAlign.Models.Training;
using CrossAlign.Models.Training.Configuration;
using CrossAlign.Runtime;

namespace CrossAlign.Models.Tests.Training;

/// <summary>A few steps of tuning a real pretrained tower, in the folder that CROSSALIGN_E5 names: multilingual-e5-small in full precision.</summary>
public sealed class RealTowerTuningTests : IDisposable
{
    private const string Words = "embeddings.word_embeddings.weight";
    private readonly ShortRuns _runs = new();

    public void Dispose() => _runs.Dispose();

    [Fact]
    public void ARunThatIsStoppedAndResumedEndsWithTheSameBytes()
    {
        // Eleven frozen blocks, so that a checkpoint holds the moments of one; the towers' checkpoints are as large as they are.
        RunConfig config = Config("lowest:11") with { Steps = 3 };
        config = config with { Schedule = config.Schedule with { TextFrozenSteps = 1 } };
        _runs.Run(config, "whole");
        _runs.Run(config, "pieces", threads: 1, stopAfter: 2);
        _runs.Run(config, "pieces", resume: true);
        string[] files = _runs.Files("whole");
        Assert.Equal(files, _runs.Files("pieces"));
        Assert.All(files, f => Assert.Equal(Sum("whole", f), Sum("pieces", f)));

        // Only the last block has moved.
        using SafetensorsFile before = SafetensorsFile.Open(Path.Combine(config.TextTower.From!, "model.safetensors"));
        using SafetensorsFile after = SafetensorsFile.Open(Path.Combine(new RunFolder(_runs.PathOf("whole")).KeptCheckpoint(), "text", "model.safetensors"));
        Assert.Equal(
            before.Entries.Select(e => e.Name).Union(["pooler.dense.bias", "pooler.dense.weight"]).Order(StringComparer.Ordinal), after.Entries.Select(e => e.Name).Order(StringComparer.Ordinal));
        Assert.All(
            before.Entries.Where(e => e.Name != Words),
            e => Assert.Equal(!e.Name.Contains("layer.11.", StringComparison.Ordinal), before.ReadSingles(e.Name).AsSpan().SequenceEqual(after.ReadSingles(e.Name))));

        string Sum(string run, string file)
        {
            using FileStream stream = File.OpenRead(Path.Combine(_runs.PathOf(run), "checkpoints", file));
            return Convert.ToHexStringLower(SHA256.HashData(stream));
        }
    }

    [Fact]
    public void TheVocabularyMovesByTheSameBitsHoweverItsGradientIsKept()
    {
        // Without decay and clipping rows that no caption names stay as they are, and the order in which the norm is added up does not matter.
        RunConfig config = Config("none");
        config = config with { Optimizer = new OptimizerConfig { LearningRate = 1e-4, WeightDecay = 0, Clip = null } };
        CaptionedPictures data = ShortRuns.Data(config);
        ITokenizer tokenizer = TowerFactory.MakeTokenizer(config, data);
        float[] sparse = WordsAfterTwoSteps(config, data, tokenizer, isSparse: true, out int touched);
        float[] dense = WordsAfterTwoSteps(config, data, tokenizer, isSparse: false, out _);
        Assert.True(sparse.AsSpan().SequenceEqual(dense));
        Assert.InRange(touched, 10, 100);
    }

    // Gives how many rows of the vocabulary have moved.
    private static float[] WordsAfterTwoSteps(RunConfig config, CaptionedPictures data, ITokenizer tokenizer, bool isSparse, out int touched)
    {
        using CpuDevice device = new(2);
        using TwoTowerModel model = TowerFactory.Create(config, tokenizer, device, _ => { });
        PairedCaptionSource source = new(config, data, tokenizer, model, TowerInputs.Of(config, null, null), config.BatchSize);
        Tensor words = model.Text!.WordEmbeddings.Value;
        float[] before = words.ToArray<float>();
        if (isSparse)
        {
            source.AllocateGradients(model);
            Assert.True(model.Text.WordEmbeddings.Owner.SparseGradient.IsPresent);
        }
        else
        {
            model.Parameters.AllocateGradients();
        }

        using ContrastiveStep step = new(model, config, config.BatchSize);
        using Optimizer optimizer = new(model, config, step.LossCount);
        TrainingBatch batch = source.NewBatch();
        for (int n = 1; n <= 2; n++)
        {
            source.Fill(batch, n);
            model.Parameters.ZeroGradients();
            step.Run(batch, 0);
            optimizer.Step(n, 1e-4);
        }

        float[] after = words.ToArray<float>();
        int width = model.Text.Config.Width;
        touched = Enumerable.Range(0, after.Length / width).Count(r => !before.AsSpan(r * width, width).SequenceEqual(after.AsSpan(r * width, width)));
        return after;
    }

    private static RunConfig Config(string freeze)
    {
        string? folder = Environment.GetEnvironmentVariable("CROSSALIGN_E5");
        Assert.SkipWhen(string.IsNullOrEmpty(folder), "CROSSALIGN_E5 does not name the folder of multilingual-e5-small");
        return RunConfigReader.From("album", "multilingual", "shapes")
            .Set($"textTower.from={folder}").Set($"textTower.freeze={freeze}").Set("textTower.dropout=0").Set("projection.textStart=identity").Resolve() with
        {
            BatchSize = 4,
            CaptionsPerPicture = 1,
            KeywordsAtMost = 1,
            EvaluateEvery = 0,
            CheckpointEvery = 0,
            KeepLast = 1,
            ImageTower = new ImageTowerConfig { ImageSize = 16, PatchSize = 8, Width = 32, Heads = 2, FeedForward = 48 },
        };
    }
}
