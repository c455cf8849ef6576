using CrossAlign.Models.Data;
using CrossAlign.Models.Tests.Profiling;
using CrossAlign.Models.Tokenization;
using CrossAlign.Models.Training;
using CrossAlign.Models.Training.Configuration;
using CrossAlign.Runtime;
using CrossAlign.Runtime.Cuda;
using CrossAlign.Runtime.Cuda.Emulation;

namespace CrossAlign.Models.Tests.Training;

/// <summary>
/// What is predicted before the start against what the device held at most: never below it; at most a tenth and the working memory above on the
/// processor, a fiftieth on CUDA devices.
/// </summary>
public sealed class TrainingMemoryTests : IDisposable
{
    private const double Tolerance = 1.1;
    private const double GpuTolerance = 1.02;

    private readonly string _root = Directory.CreateTempSubdirectory("crossalign-test-").FullName;

    public static TheoryData<string> Configurations() => [.. s_configurations.Keys];

    private static readonly Dictionary<string, Func<RunConfig, RunConfig>> s_configurations = new()
    {
        ["tiny"] = c => c,
        ["evaluated"] = c => c with { EvaluateEvery = 2 },
        ["larger"] = c => c with
        {
            BatchSize = 96,
            TextTower = c.TextTower with { Width = 128, Layers = 2, FeedForward = 512 },
            ImageTower = c.ImageTower with { Width = 96, Layers = 3, FeedForward = 256, ImageSize = 32 },
            Projection = new ProjectionConfig { Width = 256 },
        },
        ["exact"] = c => c with { BatchSize = 90, Accumulate = Accumulation.Exact, MicroBatchSize = 20, TextTower = c.TextTower with { Width = 128, FeedForward = 512 } },
        ["plain"] = c => c with { BatchSize = 90, Accumulate = Accumulation.Plain, MicroBatchSize = 40, ImageTower = c.ImageTower with { Width = 96, ImageSize = 48 } },
        ["texts alone"] = c => c with { Objective = Objective.TextText, Setup = "eng-pivot" },
        ["recomputed"] = c => c with { RecomputeActivations = true, BatchSize = 64, TextTower = c.TextTower with { Layers = 3 } },
        ["groups"] = c => c with { Loss = c.Loss with { Groups = GroupPolicy.Masked }, BatchSize = 64 },
    };

    [Theory]
    [MemberData(nameof(Configurations))]
    public void ThePredictionHoldsWithinATenthAndTheWorkingMemory(string name)
    {
        RunConfig config = s_configurations[name](TinyConfig.Create());
        CaptionedPictures data = ShapesDataSet.Create(DataSets.OptionsOf(config));
        TrainingMemory predicted = TrainingMemory.Predict(config, data, TowerFactory.MakeTokenizer(config, data));
        using CpuDevice device = new(2);
        TrainingRun.Start(new TrainingRequest(config, data, device, Path.Combine(_root, "run")), new SilentObserver(), CancellationToken.None);
        long measured = device.PeakByteCount;
        Assert.True(measured <= predicted.Tensors, $"{measured} bytes were held, {predicted.Tensors} predicted: {predicted}");
        long withoutWork = predicted.Tensors - TrainingMemory.WorkingByteCount;
        Assert.True(withoutWork <= Tolerance * measured, $"{measured} bytes were held, {withoutWork} predicted beside the working memory: {predicted}");
    }

    [Theory]
    [MemberData(nameof(Configurations))]
    public void OnAGpuItHoldsWithinAFiftiethWithWhatOperationsWorkInAndThePoolsRounding(string name)
    {
        RunConfig config = s_configurations[name](TinyConfig.Create());
        AssertHoldsOnAGpu(config, ShapesDataSet.Create(DataSets.OptionsOf(config)));
    }

    // The processor keeps the rows that leave the frozen blocks; a CUDA device computes them anew. Rows of towers frozen whole are looked up.
    [Theory]
    [InlineData(Precision.F32, "lowest:1", "none", Accumulation.None, 0)]
    [InlineData(Precision.BF16, "lowest:1", "none", Accumulation.Exact, 0)]
    [InlineData(Precision.F32, "all", "none", Accumulation.None, 0)]
    [InlineData(Precision.BF16, "all", "all", Accumulation.Plain, 0)]
    [InlineData(Precision.F32, "none", "none", Accumulation.None, 2)]
    public void OnAGpuItHoldsForFrozenTowersToo(Precision precision, string text, string image, Accumulation accumulate, int textFrozenSteps)
    {
        using ShortRuns runs = new();
        RunConfig config = ShortRuns.Tiny(runs.Text("text-tower-xlm-roberta"), runs.Image("image-tower-vit"), text, image);
        config = config with
        {
            BatchSize = 96,
            Accumulate = accumulate,
            MicroBatchSize = accumulate == Accumulation.None ? null : 40,
            Precision = precision,
            TextTower = config.TextTower with { Dropout = 0 },
            Schedule = config.Schedule with { TextFrozenSteps = textFrozenSteps },
        };
        AssertHoldsOnAGpu(config, ShortRuns.Data(config));
    }

    // Whose kernels run; there each piece is as large as it is asked for, and the workspace of what stands for cuBLAS is one of them.
    [Fact]
    public void OnTheEmulatedDeviceItHolds()
    {
        RunConfig config = TinyConfig.Create() with { Steps = 1, BatchSize = 2, Matmul = ProductEngine.Cublas, TextTower = new TextTowerConfig { Width = 16, Heads = 2, FeedForward = 16 } };
        using CudaDevice device = CudaDevice.Emulate(new EmulationOptions());
        AssertHolds(config, ShapesDataSet.Create(DataSets.OptionsOf(config)), device);
        Assert.InRange(device.Emulation!.Audit.PeakByteCount, device.PeakByteCount, device.PeakByteCount + 4096);
    }

    [Fact]
    public void OnAGpuBFloat16TakesTwoThirdsOfFloat32sMemoryOrLess()
    {
        (TrainingMemory singlePredicted, long single) = OnAGpu(Precision.F32);
        (TrainingMemory halfPredicted, long half) = OnAGpu(Precision.BF16);
        Assert.True(3 * half <= 2 * single, $"{half} bytes were held with bf16, {single} with f32.");
        Assert.InRange(halfPredicted.Activations, 0.45 * singlePredicted.Activations, 0.6 * singlePredicted.Activations);

        // The copies of the weights.
        Assert.InRange(halfPredicted.Parameters, 1.3 * singlePredicted.Parameters, 1.5 * singlePredicted.Parameters);
        Assert.Equal(singlePredicted.Gradients, halfPredicted.Gradients);
        Assert.Equal(singlePredicted.Moments, halfPredicted.Moments);

        (TrainingMemory Predicted, long Measured) OnAGpu(Precision precision)
        {
            RunConfig config = s_configurations["larger"](TinyConfig.Create()) with { Precision = precision };
            return AssertHoldsOnAGpu(config, ShapesDataSet.Create(DataSets.OptionsOf(config)));
        }
    }

    // A driver that does nothing; the pool above it is a GPU's.
    private (TrainingMemory Predicted, long Measured) AssertHoldsOnAGpu(RunConfig config, CaptionedPictures data)
    {
        using CudaDevice device = new(new IdleDriver(), null, 0, "idle", poolsMemory: true);
        return AssertHolds(config, data, device);
    }

    private (TrainingMemory Predicted, long Measured) AssertHolds(RunConfig config, CaptionedPictures data, CudaDevice device)
    {
        using ProductSettings products = ProductSettings.Apply(device, config);
        TrainingMemory predicted = TrainingMemory.Predict(config, data, TowerFactory.MakeTokenizer(config, data), null, device);
        Assert.Equal(0, device.PeakByteCount);
        TrainingRun.Start(new TrainingRequest(config, data, device, Path.Combine(_root, config.Precision.ToString())), new SilentObserver(), CancellationToken.None);
        long measured = device.PeakByteCount;
        Assert.True(measured <= predicted.Tensors, $"{measured} bytes were held, {predicted.Tensors} predicted: {predicted}");
        Assert.True(predicted.Tensors <= GpuTolerance * measured, $"{measured} bytes were held, {predicted.Tensors} predicted: {predicted}");
        return (predicted, measured);
    }

    [Fact]
    public void EveryPartIsThere()
    {
        RunConfig config = TinyConfig.Create();
        CaptionedPictures data = ShapesDataSet.Create(DataSets.OptionsOf(config));
        ITokenizer tokenizer = TowerFactory.MakeTokenizer(config, data);
        TrainingMemory memory = TrainingMemory.Predict(config, data, tokenizer);
        using CpuDevice device = new(1);
        using CrossAlign.Models.Encoders.TwoTowerModel model = TowerFactory.Create(config, tokenizer, device, static _ => { });
        Assert.Equal(device.AllocatedByteCount, memory.Parameters);

        // A pooler is carried along and not trained.
        Assert.InRange(memory.Gradients, memory.Parameters / 2, memory.Parameters - 1);
        Assert.InRange(memory.Moments, 2 * memory.Gradients, (2 * memory.Gradients) + 64);

        // The arena's first MiB counts with the step's own tensors; these towers need no more.
        Assert.Equal(0, memory.Activations);
        Assert.InRange(memory.Loss, (1 << 20) + (4L * ((2 * 2 * 16 * 24) + (3 * 16 * 24))), 3L << 20);
        Assert.InRange(memory.Batches, 2 * 4 * 16 * 3 * 16 * 16, 1L << 20);
    }

    [Fact]
    public void WhatDoesNotFitIsRefusedWithTheNumbers()
    {
        TrainingMemory memory = new() { Parameters = 3L << 30, Gradients = 3L << 30, Moments = 6L << 30, Loss = 1 << 20, Activations = 5L << 30, Batches = 1 << 10 };
        UserErrorException e = Assert.Throws<UserErrorException>(() => memory.Require(8L << 30));
        Assert.Equal("this training takes 17.0 GiB of memory, and 8.0 GiB are available", e.What);
        Assert.Contains("optimiser: 6.0 GiB", e.Details);
        memory.Require(18L << 30);
        memory.Require(1 << 10, 18L << 30);
        Assert.Equal(
            "this training takes 17.0 GiB of the GPU's memory, and 8.0 GiB are available",
            Assert.Throws<UserErrorException>(() => memory.Require(18L << 30, 8L << 30)).What);
        Assert.Equal(
            "this training takes 1.0 KiB of memory, and 0.5 KiB are available",
            Assert.Throws<UserErrorException>(() => memory.Require(512, 18L << 30)).What);
    }

    [Fact]
    public void ATrainingThatCannotFitLeavesNothingBehind()
    {
        RunConfig config = TinyConfig.Create() with { TextTower = new TextTowerConfig { Width = 16384, Heads = 128, FeedForward = 65536, Layers = 64 } };
        CaptionedPictures data = ShapesDataSet.Create(DataSets.OptionsOf(config));
        using CpuDevice device = new(1);
        string folder = Path.Combine(_root, "run");
        UserErrorException e = Assert.Throws<UserErrorException>(
            () => TrainingRun.Start(new TrainingRequest(config, data, device, folder), new SilentObserver(), CancellationToken.None));
        Assert.Contains("of memory", e.What, StringComparison.Ordinal);
        Assert.Equal(0, device.PeakByteCount);
        Assert.False(File.Exists(Path.Combine(folder, "config.json")));
    }

    public void Dispose() => Directory.Delete(_root, recursive: true);

    private sealed class SilentObserver : ITrainingObserver
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
