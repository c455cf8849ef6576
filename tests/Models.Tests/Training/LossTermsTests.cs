using System.Text.Json.Nodes;
using CrossAlign.Models.Training;
using CrossAlign.Models.Training.Configuration;

namespace CrossAlign.Models.Tests.Training;

/// <summary>Trainings by prefixes of the vectors (Matryoshka), and with likely false negatives left out.</summary>
public sealed class LossTermsTests : IDisposable
{
    private const int Width = 24;

    private readonly ShortRuns _runs = new();

    public void Dispose() => _runs.Dispose();

    [Fact]
    public void TheWholeWidthAsOnlyPrefixIsThePlainLoss()
    {
        double[] plain = Losses("plain", new(), 4);
        Assert.Equal(plain, Losses("whole", new() { PrefixWidths = [Width] }, 4));
        Assert.NotEqual(plain, Losses("half", new() { PrefixWidths = [Width / 2] }, 4));
    }

    [Fact]
    public void TheLossIsTheMeanOverThePrefixes()
    {
        // The first step's towers are the same whatever the loss.
        double whole = Losses("whole", new() { PrefixWidths = [Width] }, 1)[0];
        double half = Losses("half", new() { PrefixWidths = [Width / 2] }, 1)[0];
        double both = Losses("both", new() { PrefixWidths = [Width / 2, Width] }, 1)[0];
        Assert.NotEqual(whole, half);
        Assert.Equal((whole + half) / 2, both, 1e-5);
    }

    [Fact]
    public void TrainingByPrefixesLearnsAndIsTheSameUnderExactAccumulation()
    {
        LossConfig loss = new() { PrefixWidths = [6, 12, Width] };
        double[] losses = Losses("run", loss, 200);
        double guessing = LossOptions.GuessingLoss(loss, 16);
        Assert.True(losses[^10..].Average() < 0.8 * guessing, $"{losses[^10..].Average()} is not well below guessing, {guessing}");

        _runs.Run(Tiny(loss, 4) with { Accumulate = Accumulation.Exact, MicroBatchSize = 5 }, "exact");
        double[] exact = Read("exact");
        double[] whole = Losses("first steps", loss, 4);
        for (int i = 0; i < exact.Length; i++)
        {
            Assert.Equal(whole[i], exact[i], 1e-4 * whole[i]);
        }
    }

    [Fact]
    public void AMarginThatNothingExceedsChangesNothingAndASmallOneLowersTheLoss()
    {
        double[] plain = Losses("plain", new(), 3);
        double[] wide = Losses("wide", new() { FalseNegativeMargin = 3 }, 3);
        for (int i = 0; i < plain.Length; i++)
        {
            // The sums that a threshold watches are formed in another order.
            Assert.Equal(plain[i], wide[i], 1e-3);
        }

        // What is left out was in the denominator.
        Assert.True(Losses("narrow", new() { FalseNegativeMargin = 0 }, 1)[0] < plain[0]);
    }

    [Theory]
    [InlineData("loss.prefixWidths=[24,1000000]", "loss.prefixWidths")]
    [InlineData("loss.falseNegativeMargin=0.1 loss.groups=\"shared\"", "loss.falseNegativeMargin")]
    [InlineData("loss.falseNegativeMargin=0.1 loss.variant=\"sigmoid\"", "loss.falseNegativeMargin")]
    public void WhatDoesNotGoTogetherIsRefusedByName(string settings, string key)
    {
        RunConfigReader reader = RunConfigReader.From("album", "multilingual", "shapes");
        foreach (string setting in settings.Split(' '))
        {
            reader.Set(setting);
        }

        UserErrorException e = Assert.Throws<UserErrorException>(() => reader.Build());
        Assert.StartsWith($"'{key}'", e.What, StringComparison.Ordinal);
    }

    private double[] Losses(string name, LossConfig loss, int steps)
    {
        _runs.Run(Tiny(loss, steps), name);
        return Read(name);
    }

    private double[] Read(string name) =>
        [.. File.ReadLines(new RunFolder(_runs.PathOf(name)).MetricsPath).Select(l => JsonNode.Parse(l)!["loss"]!.GetValue<double>())];

    private static RunConfig Tiny(LossConfig loss, int steps) => RunConfigReader.From("album", "multilingual", "shapes").Build() with
    {
        Steps = steps,
        BatchSize = 16,
        CaptionsPerPicture = 2,
        EvaluateEvery = 0,
        CheckpointEvery = 0,
        Loss = loss,
        Tokenizer = new TokenizerConfig { Pieces = 400, MaxTokens = 16 },
        TextTower = new TextTowerConfig { Width = 32, Heads = 2, FeedForward = 48 },
        ImageTower = new ImageTowerConfig { ImageSize = 16, PatchSize = 8, Width = 32, Heads = 2, FeedForward = 48 },
        Projection = new ProjectionConfig { Width = Width },
    };
}
