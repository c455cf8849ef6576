using CrossAlign.Models.Checkpoints;
using CrossAlign.Models.Encoders;
using CrossAlign.Models.Training;
using CrossAlign.Models.Training.Configuration;
using CrossAlign.Runtime;

namespace CrossAlign.Models.Tests.Training;

/// <summary>A published text tower that stands still at first, of which only the upper blocks are tuned, behind a head that begins as an identity.</summary>
public sealed class PartlyFrozenTests : IDisposable
{
    private readonly ShortRuns _runs = new();

    public void Dispose() => _runs.Dispose();

    [Theory]
    [InlineData("text-tower-xlm-roberta", "lowest:1", 0, "none")]
    [InlineData("text-tower-xlm-roberta", "lowest:2", 2, "none")]
    [InlineData("text-tower-bert", "lowest:2", 0, "exact")]
    [InlineData("text-tower-bert", "none", 3, "none")]
    [InlineData("text-tower-bert", "lowest:1", 3, "recompute")]
    public void WhatIsKeptOfAFrozenPartGivesTheBytesOfComputingItAnew(string text, string freeze, int frozenSteps, string way)
    {
        RunConfig config = Config(text, freeze, frozenSteps);
        config = way switch
        {
            "exact" => config with { Accumulate = Accumulation.Exact, MicroBatchSize = 3 },
            "recompute" => config with { RecomputeActivations = true },
            _ => config,
        };
        List<string> said = _runs.Run(config, "kept");
        _runs.Run(config with { FeatureCacheMegabytes = 0 }, "anew", threads: 1);
        _runs.AssertSameBytes("anew", "kept");
        Assert.Contains(said, n => n.Contains("computed and kept", StringComparison.Ordinal));
    }

    [Fact]
    public void WithDropoutNothingIsKeptOfAPartlyFrozenTower()
    {
        RunConfig config = Config("text-tower-bert", "lowest:1", 2);
        List<string> said = _runs.Run(config with { TextTower = config.TextTower with { Dropout = 0.1 } }, "run");
        Assert.DoesNotContain(said, n => n.Contains("computed and kept", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("none", 0)]
    [InlineData("none", 0.3)]
    [InlineData("lowest:1", 0)]
    public void ARunThatIsStoppedInEitherStretchAndResumedEndsWithTheSameBytes(string freeze, double headsOnlyEpochs)
    {
        RunConfig config = Config("text-tower-bert", freeze, 3);
        config = config with { Steps = 6, Schedule = config.Schedule with { HeadsOnlyEpochs = headsOnlyEpochs } };
        _runs.Run(config, "whole", threads: 1);
        _runs.Run(config, "pieces", stopAfter: 2);
        _runs.Run(config, "pieces", threads: 1, resume: true, stopAfter: 4);
        _runs.Run(config, "pieces", resume: true);
        _runs.AssertSameBytes("whole", "pieces");
    }

    [Fact]
    public void TheTextTowerStandsStillWhileTheRestLearnsAndThenHasTheScheduleForItself()
    {
        RunConfig config = Config("text-tower-xlm-roberta", "none", 2) with { CheckpointEvery = 1, KeepLast = 9 };
        config = config with
        {
            Schedule = config.Schedule with { Warmup = 0, Shape = ScheduleShape.Linear },
            Optimizer = config.Optimizer with { Kind = OptimizerKind.Adam, LearningRate = 1e-3, Clip = null },
        };
        _runs.Run(config, "run");
        RunFolder run = new(_runs.PathOf("run"));
        const string Weight = "encoder.layer.0.output.dense.weight";
        Assert.Equal(0, Moved(1, 2, "text", Weight));
        Assert.True(Moved(1, 2, "image", Weight) > 0, "the image tower learns from the first step");

        // Of the four steps the text tower has the last two: at the third it is where a run of two steps begins, at half of the rate. Adam's
        // first step has the size of the rate.
        Assert.Equal(0.5e-3, Moved(2, 3, "text", Weight), 2e-5);
        Assert.Equal(0, Moved(3, 4, "text", Weight), 1e-9);

        double Moved(int from, int to, string side, string name)
        {
            float[] before = Tensor(run.CheckpointPath(from));
            float[] after = Tensor(run.CheckpointPath(to));
            double[] moved = [.. before.Select((v, i) => (double)Math.Abs(after[i] - v)).Order()];
            return moved[moved.Length / 2];

            float[] Tensor(string checkpoint)
            {
                using SafetensorsFile tensors = SafetensorsFile.Open(Path.Combine(checkpoint, side, "model.safetensors"));
                return tensors.ReadSingles(name);
            }
        }
    }

    [Fact]
    public void AHeadThatIsAnIdentityHandsThePublishedVectorsThrough()
    {
        RunConfig config = Config("text-tower-bert", "none", 0) with { Steps = 0, Projection = new ProjectionConfig { Width = 64, Bias = true, TextStart = HeadStart.Identity } };
        _runs.Run(config, "run");
        using CpuDevice device = new(1);
        using TwoTowerModel model = TwoTowerModel.Load(device, new RunFolder(_runs.PathOf("run")).KeptCheckpoint());
        TokenBatch batch = new(model.Text!.Packing);
        batch.Add([0, 17, 23, 2]);
        batch.Add([0, 5, 2]);
        int width = model.Text.Config.Width;
        Assert.Equal(48, width);
        float[] own = new float[2 * width];
        float[] projected = new float[2 * 64];
        model.EmbedText(batch, own, project: false);
        model.EmbedText(batch, projected);
        for (int row = 0; row < 2; row++)
        {
            Assert.All(Enumerable.Range(0, width), c => Assert.Equal(own[(row * width) + c], projected[(row * 64) + c], 1e-6f));
            Assert.All(Enumerable.Range(width, 64 - width), c => Assert.Equal(0, projected[(row * 64) + c]));
        }
    }

    [Fact]
    public void ASpaceTooNarrowForAnIdentityIsNamed()
    {
        RunConfigReader reader = RunConfigReader.From("album", "multilingual", "shapes")
            .Set($"textTower.from={_runs.Text("text-tower-bert")}").Set("projection.textStart=identity").Set("projection.width=47").Set("textTower.prefix=");
        Assert.StartsWith("'projection.width'", Assert.Throws<UserErrorException>(() => reader.Resolve()).What, StringComparison.Ordinal);
    }

    private RunConfig Config(string text, string freeze, int frozenSteps)
    {
        RunConfig config = ShortRuns.Tiny(_runs.Text(text), _runs.Image("image-tower-vit"), freeze, "none");
        return config with
        {
            TextTower = config.TextTower with { Dropout = 0 },
            Schedule = config.Schedule with { TextFrozenSteps = frozenSteps },
        };
    }
}
