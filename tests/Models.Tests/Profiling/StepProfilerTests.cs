using CrossAlign.Models.Data;
using CrossAlign.Models.Profiling;
using CrossAlign.Models.Training.Configuration;

namespace CrossAlign.Models.Tests.Profiling;

public sealed class StepProfilerTests
{
    [Fact]
    public void APartIsThereForEveryPlaceWhereTimeGoes()
    {
        RunConfig config = TinyConfig.Create();
        StepProfile profile = StepProfiler.Run(config, Data(config), 4, operations: true, CancellationToken.None);
        Assert.Equal(["text tower", "image tower", "loss", "optimizer", "data"], profile.Parts.Select(p => p.Part));
        Assert.All(profile.Parts, p => Assert.True(p.Milliseconds > 0, p.Part));
        Assert.Equal(1, profile.Parts.Sum(p => p.Share), 1e-9);
        Assert.Equal(profile.Milliseconds, profile.Parts.Sum(p => p.Milliseconds), 1e-6 * profile.Milliseconds);
        Assert.Equal(4, profile.Steps);
        Assert.True(profile.PreparationMilliseconds > 0);
        Dictionary<string, OperationTime> operations = profile.Operations.ToDictionary(o => o.Operation);

        // Two sets of captions, each with a loss; a block has four linear layers, a head one.
        Assert.Equal(2, operations["SimilarityCrossEntropy.ForwardBackward"].Calls);
        Assert.Equal(10, operations["Linear.Forward"].Calls);
        Assert.Equal(2, operations["Attention.Backward"].Calls);
        Assert.True(operations["Linear.Backward"].Gflops > 0);
        Assert.Null(operations["LayerNorm.Forward"].Gflops);
        Assert.Equal(1, profile.Operations.Sum(o => o.Share), 1e-9);
        Assert.InRange(profile.MemoryBytes, 1, profile.PredictedBytes);
    }

    [Fact]
    public void WithoutAskingNoOperationIsTimed()
    {
        RunConfig config = TinyConfig.Create() with { Accumulate = Accumulation.Exact, MicroBatchSize = 5 };
        StepProfile profile = StepProfiler.Run(config, Data(config), 1, operations: false, CancellationToken.None);
        Assert.Empty(profile.Operations);
        Assert.Equal(1, profile.Parts.Sum(p => p.Share), 1e-9);
    }

    [Fact]
    public void TheStepsHaveThePrecisionThatIsAskedFor()
    {
        RunConfig config = TinyConfig.Create();
        Assert.Equal(1, StepProfiler.Run(config with { Precision = Precision.BF16 }, Data(config), 1, operations: false, CancellationToken.None).Steps);
        UserErrorException e = Assert.Throws<UserErrorException>(
            () => StepProfiler.Run(config with { Precision = Precision.TF32 }, Data(config), 1, operations: false, CancellationToken.None));
        Assert.Contains("'precision'", e.What, StringComparison.Ordinal);
    }

    [Fact]
    public void ACancelledProfileIsNone()
    {
        RunConfig config = TinyConfig.Create();
        using CancellationTokenSource source = new();
        source.Cancel();
        Assert.Throws<OperationCanceledException>(() => StepProfiler.Run(config, Data(config), 4, operations: false, source.Token));
    }

    private static CaptionedPictures Data(RunConfig config) => ShapesDataSet.Create(DataSets.OptionsOf(config));
}
