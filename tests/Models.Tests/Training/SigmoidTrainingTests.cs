using System.Text.Json.Nodes;
using CrossAlign.Models.Checkpoints;
using CrossAlign.Models.Data;
using CrossAlign.Models.Encoders;
using CrossAlign.Models.Tests.Profiling;
using CrossAlign.Models.Tokenization;
using CrossAlign.Models.Training;
using CrossAlign.Models.Training.Configuration;
using CrossAlign.Runtime;
using CrossAlign.Runtime.Cuda;
using CrossAlign.Runtime.Cuda.Emulation;

namespace CrossAlign.Models.Tests.Training;

/// <summary>Trainings by SigLIP's loss, whose bias is learned beside the multiplier.</summary>
public sealed class SigmoidTrainingTests : IDisposable
{
    private readonly ShortRuns _runs = new();

    public void Dispose() => _runs.Dispose();

    [Fact]
    public void ItStartsAsPublishedUnlessSomethingElseIsGiven()
    {
        RunConfig config = Reader().Build();
        Assert.Equal((10, -10), (config.Loss.ScaleInit, config.Loss.BiasInit));
        Assert.Equal(20, Reader().Set("loss.scaleInit=20").Build().Loss.ScaleInit);
        Assert.Equal(14.2857, RunConfigReader.From("album", "multilingual", "shapes").Build().Loss.ScaleInit);

        _runs.Run(Tiny() with { Steps = 0 }, "run");
        using SafetensorsFile heads = SafetensorsFile.Open(Path.Combine(new RunFolder(_runs.PathOf("run")).KeptCheckpoint(), "heads.safetensors"));
        Assert.Equal([-10f], heads.ReadSingles("logit_bias"));
        Assert.Equal([(float)Math.Log(10)], heads.ReadSingles("logit_scale"));
    }

    [Fact]
    public void TrainingLearnsAndMovesTheBias()
    {
        RunConfig config = Tiny() with { Steps = 200 };
        _runs.Run(config, "run");
        JsonObject[] lines = [.. File.ReadLines(new RunFolder(_runs.PathOf("run")).MetricsPath).Select(l => JsonNode.Parse(l)!.AsObject())];
        double[] losses = [.. lines.Select(l => l["loss"]!.GetValue<double>())];
        double guessing = LossOptions.GuessingLoss(config.Loss, config.BatchSize);
        Assert.True(losses[0] > guessing, $"{losses[0]} is not above {guessing}");
        Assert.True(losses[^10..].Average() < 0.8 * guessing, $"{losses[^10..].Average()} is not well below guessing, {guessing}");
        Assert.NotEqual(-10, lines[^1]["logitBias"]!.GetValue<double>(), 0.01);
    }

    [Fact]
    public void TheLossOfGuessingIsWhatTheBestBiasGives()
    {
        // All similarities 0: the mean over rows of softplus(-b) + (B - 1) softplus(b), least where sigmoid(b) = 1 / B.
        const int B = 16;
        double bias = -Math.Log(B - 1);
        double atBest = Math.Log(1 + Math.Exp(-bias)) + ((B - 1) * Math.Log(1 + Math.Exp(bias)));
        Assert.Equal(atBest, LossOptions.GuessingLoss(new LossConfig { Variant = LossVariant.SigmoidNormalized }, B), 1e-12);
        Assert.Equal(Math.Log(B), LossOptions.GuessingLoss(new LossConfig(), B), 1e-12);
    }

    [Fact]
    public void ARunThatIsStoppedAndResumedEndsWithTheSameBytes()
    {
        RunConfig config = Tiny() with { Steps = 6, CheckpointEvery = 3 };
        _runs.Run(config, "whole", threads: 1);
        _runs.Run(config, "pieces", stopAfter: 2);
        _runs.Run(config, "pieces", threads: 1, resume: true, stopAfter: 4);
        _runs.Run(config, "pieces", resume: true);
        _runs.AssertSameBytes("whole", "pieces");
        using SafetensorsFile moments = SafetensorsFile.Open(Path.Combine(new RunFolder(_runs.PathOf("whole")).KeptCheckpoint(), "optimizer.safetensors"));
        Assert.True(moments.Contains("logit_bias.exp_avg"));
    }

    [Fact]
    public void ExactAccumulationTakesTheStepsOfTheWholeBatch()
    {
        RunConfig whole = Tiny() with { Steps = 4 };
        _runs.Run(whole, "whole");
        _runs.Run(whole with { Accumulate = Accumulation.Exact, MicroBatchSize = 5 }, "exact");
        double[] expected = Figures("whole");
        double[] exact = Figures("exact");
        Assert.Equal(8, expected.Length);
        for (int i = 0; i < expected.Length; i++)
        {
            Assert.Equal(expected[i], exact[i], 1e-4 * Math.Abs(expected[i]));
        }

        double[] Figures(string name) =>
            [.. File.ReadLines(new RunFolder(_runs.PathOf(name)).MetricsPath).Select(l => JsonNode.Parse(l)!).SelectMany(l => new[] { l["loss"]!.GetValue<double>(), l["logitBias"]!.GetValue<double>() })];
    }

    [Fact]
    public void OnAGpuTheStepsAreTheCpusAndAreReplayedToTheBit()
    {
        using CpuDevice cpu = new(1);
        using CudaDevice eagerDevice = CudaDevice.Emulate(EmulationOptions.ForSeed(1));
        using CudaDevice replayDevice = CudaDevice.Emulate(EmulationOptions.ForSeed(1));
        (StepFigures[] expected, _) = Steps(cpu, capturesGraphs: false);
        (StepFigures[] eager, int eagerReplays) = Steps(eagerDevice, capturesGraphs: false);
        (StepFigures[] replayed, int replays) = Steps(replayDevice, capturesGraphs: true);
        Assert.Equal(0, eagerReplays);
        Assert.True(replays > 0);
        Assert.Equal(eager, replayed);
        for (int i = 0; i < expected.Length; i++)
        {
            Assert.Equal(expected[i].Loss, eager[i].Loss, 1e-5 * expected[i].Loss);
            Assert.Equal(expected[i].LogitBias!.Value, eager[i].LogitBias!.Value, 1e-4);
        }

        Assert.NotEqual(expected[0].LogitBias, expected[^1].LogitBias);
    }

    [Fact]
    public void SmoothingIsRefused()
    {
        UserErrorException e = Assert.Throws<UserErrorException>(() => Reader().Set("loss.smoothing=0.1").Build());
        Assert.StartsWith("'loss.smoothing'", e.What, StringComparison.Ordinal);
    }

    private static (StepFigures[] Figures, int Replays) Steps(Device device, bool capturesGraphs)
    {
        RunConfig config = Tiny() with { BatchSize = 6, CaptionsPerPicture = 1 };
        CaptionedPictures data = ShortRuns.Data(config);
        ITokenizer tokenizer = TowerFactory.MakeTokenizer(config, data);
        using TwoTowerModel model = TowerFactory.Create(config, tokenizer, device, _ => { });
        PairedCaptionSource source = new(config, data, tokenizer, model, TowerInputs.Of(config, null, null), config.BatchSize);
        model.Parameters.AllocateGradients();
        using ContrastiveStep step = new(model, config, config.BatchSize);
        using Optimizer optimizer = new(model, config, step.LossCount);
        using StepRunner runner = new(model, config, step, optimizer, capturesGraphs);
        TrainingBatch batch = source.NewBatch();
        StepFigures[] figures = new StepFigures[4];
        for (int i = 0; i < figures.Length; i++)
        {
            source.Fill(batch, i + 1);
            runner.Run(batch, new StepNumbers(i + 1, 1e-3, 0));
            figures[i] = runner.Read();
        }

        return (figures, runner.ReplayCount);
    }

    private static RunConfigReader Reader() => RunConfigReader.From("album", "multilingual", "shapes").Set("loss.variant=sigmoidNormalized");

    private static RunConfig Tiny() => TinyConfig.Create() with { Loss = Reader().Build().Loss };
}
