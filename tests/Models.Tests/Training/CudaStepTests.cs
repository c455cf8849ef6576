using System.Globalization;
using CrossAlign.Models.Data;
using CrossAlign.Models.Encoders;
using CrossAlign.Models.Tokenization;
using CrossAlign.Models.Training;
using CrossAlign.Models.Training.Configuration;
using CrossAlign.Runtime;
using CrossAlign.Runtime.Cuda;
using CrossAlign.Runtime.Cuda.Emulation;

namespace CrossAlign.Models.Tests.Training;

/// <summary>
/// The whole training step of two tiny towers on the emulated CUDA device, from captions and pictures to new weights: as on the CPU, and
/// to the bit the same whether its operations are issued one by one or replayed from a graph.
/// </summary>
public sealed class CudaStepTests
{
    private const int Steps = 5;

    public static TheoryData<ulong, MatMulPrecision> Variations() => new()
    {
        { 0, MatMulPrecision.Float32 },
        { 1, MatMulPrecision.Float32 },
        { 2, MatMulPrecision.BFloat16 },
    };

    [Theory]
    [MemberData(nameof(Variations))]
    public void FiveStepsAreTheCpusAndAReplayedGraphHasTheBitsOfTheEagerStep(ulong seed, MatMulPrecision precision)
    {
        using CpuDevice cpu = new(1);
        cpu.MatMulPrecision = precision;
        Trained expected = Train(cpu, capturesGraphs: false);
        using CudaDevice eagerDevice = CudaDevice.Emulate(EmulationOptions.ForSeed(seed));
        eagerDevice.MatMulPrecision = precision;
        Trained eager = Train(eagerDevice, capturesGraphs: false);
        using CudaDevice replayDevice = CudaDevice.Emulate(EmulationOptions.ForSeed(seed));
        replayDevice.MatMulPrecision = precision;
        Trained replayed = Train(replayDevice, capturesGraphs: true);

        Assert.Equal(0, eager.Replays);
        Assert.InRange(replayed.Replays, 3, Steps - 1);
        Assert.Equal(eager.Figures, replayed.Figures);
        foreach ((string name, float[] weights) in eager.Weights)
        {
            Assert.True(weights.AsSpan().SequenceEqual(replayed.Weights[name]), $"{name} differs between the eager and the replayed step.");
        }

        // Sums are added in another order; where an operand lies between two bfloat16 numbers, it may fall either way. Measured: losses
        // 3e-7 apart (bfloat16 1.2e-3), norms 4e-7 (6e-3), updates at most 1.1e-4 of their size (0.023).
        double lossTolerance = precision == MatMulPrecision.Float32 ? 3e-6 : 4e-3;
        double updateTolerance = precision == MatMulPrecision.Float32 ? 1e-3 : 0.07;
        for (int i = 0; i < Steps; i++)
        {
            Assert.Equal(expected.Figures[i].Loss, eager.Figures[i].Loss, lossTolerance * expected.Figures[i].Loss);
            Assert.Equal(expected.Figures[i].GradientNorm, eager.Figures[i].GradientNorm, 10 * lossTolerance * expected.Figures[i].GradientNorm);
            Assert.Equal(expected.Figures[i].Scale, eager.Figures[i].Scale, 1e-4);
        }

        int compared = 0;
        foreach ((string name, float[] weights) in expected.Weights.Where(w => !HasNoGradient(w.Key)))
        {
            double error = Math.Sqrt(weights.Zip(eager.Weights[name], (a, b) => Math.Pow((double)a - b, 2)).Sum());
            double update = Math.Sqrt(weights.Zip(expected.Initial[name], (a, b) => Math.Pow((double)a - b, 2)).Sum());
            Assert.True(update > 0, $"{name} was not trained.");
            Assert.True(
                error <= updateTolerance * update,
                string.Create(CultureInfo.InvariantCulture, $"{name}: its update differs by {error / update:G3} of its size."));
            compared++;
        }

        Assert.InRange(compared, 50, 80);
    }

    [Fact]
    public void WithCublasTheStepsAreIssuedOperationByOperationAndAreTheCpus()
    {
        using CpuDevice cpu = new(1);
        using CudaDevice device = CudaDevice.Emulate(new EmulationOptions());
        device.MatMulEngine = MatMulEngine.Cublas;
        using Trainer expected = new(cpu, capturesGraphs: true);
        using Trainer actual = new(device, capturesGraphs: true);
        for (int step = 1; step <= 2; step++)
        {
            StepFigures figures = expected.Step(step);
            Assert.Equal(figures.Loss, actual.Step(step).Loss, 3e-6 * figures.Loss);
        }

        Assert.Equal((0, 0), (actual.Replays, actual.Capacities));
    }

    [Fact]
    public void GraphsOfSeveralCapacitiesTakeTurns()
    {
        // Capacities of a few tokens, so that batches of a few captions have several.
        using CudaDevice eagerDevice = CudaDevice.Emulate(EmulationOptions.ForSeed(1));
        using CudaDevice replayDevice = CudaDevice.Emulate(EmulationOptions.ForSeed(1));
        using Trainer eager = new(eagerDevice, capturesGraphs: false, tokensPerCapacity: 6);
        using Trainer replayed = new(replayDevice, capturesGraphs: true, tokensPerCapacity: 6);
        for (int step = 1; step <= 12; step++)
        {
            Assert.Equal(eager.Step(step), replayed.Step(step));
        }

        Assert.InRange(replayed.Capacities, 2, 8);
        Assert.InRange(replayed.Replays, 2, 10);
        Dictionary<string, float[]> weights = replayed.Weights();
        foreach ((string name, float[] expected) in eager.Weights())
        {
            Assert.True(expected.AsSpan().SequenceEqual(weights[name]), name);
        }
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void AStepTakesNoMemoryAndWaitsOnce(bool capturesGraphs)
    {
        using CudaDevice device = CudaDevice.Emulate(new EmulationOptions());
        using Trainer trainer = new(device, capturesGraphs);
        trainer.Step(1);
        trainer.Step(2);
        DeviceAudit before = device.Emulation!.Audit;
        trainer.Step(3);
        DeviceAudit after = device.Emulation!.Audit;
        Assert.Equal(before.AllocationCount, after.AllocationCount);
        Assert.Equal(1, after.SynchronizationCount - before.SynchronizationCount);
        Assert.Equal(capturesGraphs ? 1 : 0, after.GraphLaunchCount - before.GraphLaunchCount);
        Assert.InRange(after.LaunchCount - before.LaunchCount, 100, 400);

        // Loss, norm with factor and flag, scale.
        Assert.Equal((GradientFigures + 2) * sizeof(float), after.DeviceToHostByteCount - before.DeviceToHostByteCount);
    }

    private const int GradientFigures = 3;

    // The keys' bias adds the same to all logits of a query.
    private static bool HasNoGradient(string name) => name.Contains("key.bias", StringComparison.Ordinal);

    private static Trained Train(Device device, bool capturesGraphs)
    {
        using Trainer trainer = new(device, capturesGraphs);
        Dictionary<string, float[]> initial = trainer.Weights();
        StepFigures[] figures = [.. Enumerable.Range(1, Steps).Select(trainer.Step)];
        return new Trained(initial, trainer.Weights(), figures, trainer.Replays);
    }

    private sealed record Trained(Dictionary<string, float[]> Initial, Dictionary<string, float[]> Weights, StepFigures[] Figures, int Replays);

    private sealed class Trainer : IDisposable
    {
        private readonly TwoTowerModel _model;
        private readonly PairedCaptionSource _source;
        private readonly TrainingBatch _batch;
        private readonly ContrastiveStep _step;
        private readonly Optimizer _optimizer;
        private readonly StepRunner _runner;

        public Trainer(Device device, bool capturesGraphs, int tokensPerCapacity = TokenInputs.CapacityStep)
        {
            RunConfig config = RunConfigReader.From("album", "multilingual", "shapes").Build() with
            {
                Steps = Steps,
                BatchSize = 6,
                CaptionsPerPicture = 1,
                Tokenizer = new TokenizerConfig { Pieces = 300, MaxTokens = 12 },
                Projection = new ProjectionConfig { Width = 24 },
            };
            CaptionedPictures data = ShapesDataSet.Create(DataSets.OptionsOf(config));
            ITokenizer tokenizer = TowerFactory.MakeTokenizer(config, data);
            _model = new TwoTowerModel(
                device,
                TextEncoderConfig.Create(config.TextTower.Kind, tokenizer.VocabularySize, 12, 32, 2, 2, 48, 0.1f),
                ImageEncoderConfig.Create(config.ImageTower.Kind, data.Pictures.Size, 16, 24, 1, 2, 40, 0.1f),
                TowerFactory.Options(config));
            _model.Initialize(7);
            _model.Scale.Value.CopyFrom<float>([2.66f]);
            _source = new PairedCaptionSource(config, data, tokenizer, _model, TowerInputs.Of(config, null, null), config.BatchSize);
            _batch = _source.NewBatch();
            _model.Parameters.AllocateGradients();
            _step = new ContrastiveStep(_model, config, config.BatchSize);
            _optimizer = new Optimizer(_model, config, _step.LossCount);
            _runner = new StepRunner(_model, config, _step, _optimizer, capturesGraphs, tokensPerCapacity);
        }

        public int Replays => _runner.ReplayCount;

        public int Capacities => _runner.CapacityCount;

        public StepFigures Step(int step)
        {
            _source.Fill(_batch, step);
            _runner.Run(_batch, step, 1e-3 / step, dropoutKey: (ulong)step * 0x1_0000_0001);
            return _runner.Read();
        }

        public Dictionary<string, float[]> Weights() => _model.Parameters.Trainable.ToDictionary(p => p.Name, p => p.Value.ToArray<float>());

        public void Dispose()
        {
            _runner.Dispose();
            _optimizer.Dispose();
            _step.Dispose();
            _model.Dispose();
        }
    }
}
