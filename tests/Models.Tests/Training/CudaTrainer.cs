using System.Globalization;
using CrossAlign.Models.Data;
using CrossAlign.Models.Encoders;
using CrossAlign.Models.Tokenization;
using CrossAlign.Models.Training;
using CrossAlign.Models.Training.Configuration;
using CrossAlign.Runtime;

namespace CrossAlign.Models.Tests.Training;

/// <summary>One training of two tiny towers, whose steps tests of the emulated CUDA device compare: its model, batches and steps.</summary>
internal sealed class CudaTrainer : IDisposable
{
    public const int BatchSize = 6;

    private readonly TwoTowerModel _model;
    private readonly Dictionary<int, (PairedCaptionSource Source, TrainingBatch[] Batches)> _sources = [];
    private readonly RunConfig _config;
    private readonly CaptionedPictures _data;
    private readonly ITokenizer _tokenizer;
    private readonly int _microBatchSize;
    private readonly bool _readsHostInputs;
    private readonly Func<int, int>? _picturesOfNext;
    private readonly ContrastiveStep _step;
    private readonly Optimizer _optimizer;
    private readonly StepRunner _runner;
    private readonly TowerPause _pause;
    private (int Step, TrainingBatch Batch)? _prepared;

    public CudaTrainer(
        Device device,
        bool capturesGraphs,
        int tokensPerCapacity = TokenInputs.CapacityStep,
        int headsOnlySteps = 0,
        int textFrozenSteps = 0,
        float dropout = 0.1f,
        bool freezesText = false,
        bool freezesImage = false,
        bool isSparse = false,
        bool keepsCopies = false,
        bool storesBFloat16 = false,
        bool recomputes = false,
        bool readsHostInputs = false,
        Accumulation accumulate = Accumulation.None,
        int microBatchSize = BatchSize,
        int captions = 1,
        Func<int, int>? picturesOfNext = null)
    {
        // Where the next step is prepared while one is under way: how many pictures it will have.
        _picturesOfNext = picturesOfNext;
        _microBatchSize = microBatchSize;
        _readsHostInputs = readsHostInputs;
        RunConfig config = RunConfigReader.From("album", "multilingual", "shapes").Build() with
        {
            Steps = 5,
            BatchSize = BatchSize,
            CaptionsPerPicture = captions,
            Accumulate = accumulate,
            MicroBatchSize = accumulate == Accumulation.None ? null : microBatchSize,
            RecomputeActivations = recomputes,
            Tokenizer = new TokenizerConfig { Pieces = 300, MaxTokens = 12 },
            Projection = new ProjectionConfig { Width = 24 },
        };
        config = config with
        {
            Augmentation = freezesImage ? 0 : config.Augmentation,
            Schedule = config.Schedule with { HeadsOnlyEpochs = headsOnlySteps, TextFrozenSteps = textFrozenSteps },
        };
        CaptionedPictures data = ShapesDataSet.Create(DataSets.OptionsOf(config));
        ITokenizer tokenizer = TowerFactory.MakeTokenizer(config, data);
        (_config, _data, _tokenizer) = (config, data, tokenizer);
        _model = new TwoTowerModel(
            device,
            TextEncoderConfig.Create(config.TextTower.Kind, tokenizer.VocabularySize, 12, 32, 2, 2, 48, dropout),
            ImageEncoderConfig.Create(config.ImageTower.Kind, data.Pictures.Size, 16, 24, 1, 2, 40, dropout),
            TowerFactory.Options(config));
        _model.Initialize(7);
        _model.Scale.Value.CopyFrom<float>([2.66f]);
        _model.Text!.Freeze = freezesText ? TowerFreeze.All : TowerFreeze.None;
        _model.Image!.Freeze = freezesImage ? TowerFreeze.All : TowerFreeze.None;
        if (isSparse)
        {
            _model.Parameters.AllocateSparseGradient(_model.Text.WordEmbeddings, config.BatchSize * config.Tokenizer.MaxTokens);
        }

        _model.Parameters.AllocateGradients();
        if (keepsCopies)
        {
            _model.Parameters.AllocateCopies();
        }

        if (storesBFloat16)
        {
            _model.StoreBFloat16();
        }

        _step = new ContrastiveStep(_model, config, microBatchSize);
        _pause = new TowerPause(_model, config with { Steps = 100 }, stepsPerEpoch: 1);
        _optimizer = new Optimizer(_model, config, _step.LossCount, _pause.TextSteps, _pause.ImageSteps);
        _runner = new StepRunner(_model, config, _step, _optimizer, capturesGraphs, tokensPerCapacity);
    }

    public int Replays => _runner.ReplayCount;

    public int Captures => _runner.CaptureCount;

    public IEnumerable<Parameter> Copied() => _model.Parameters.Trainable.Where(p => p.Copy.IsPresent);

    public int Capacities => _runner.CapacityCount;

    public StepFigures Step(int step, int pictures = BatchSize)
    {
        TrainingBatch batch = _prepared is { } prepared && prepared.Step == step ? prepared.Batch : Fill(step, pictures);
        return StepOfBatch(batch, step);
    }

    public long HeapBytesOf(int step)
    {
        TrainingBatch batch = Fill(step, BatchSize);
        long before = GC.GetAllocatedBytesForCurrentThread();
        StepOfBatch(batch, step);
        return GC.GetAllocatedBytesForCurrentThread() - before;
    }

    public Dictionary<string, float[]> Weights() => _model.Parameters.Trainable.ToDictionary(p => p.Name, p => p.Value.ToArray<float>());

    public Dictionary<string, float[]> Gradients() => _model.Parameters.Trainable.ToDictionary(p => p.Name, p => p.Gradient.ToArray<float>());

    public void Dispose()
    {
        _runner.Dispose();
        _optimizer.Dispose();
        _step.Dispose();
        _model.Dispose();
    }

    public static void AssertSameBits(CudaTrainer expected, CudaTrainer actual)
    {
        Dictionary<string, float[]> weights = actual.Weights();
        foreach ((string name, float[] values) in expected.Weights())
        {
            Assert.True(values.AsSpan().SequenceEqual(weights[name]), name);
        }
    }

    public static void AssertNear(CudaTrainer expected, CudaTrainer actual, Dictionary<string, float[]> initial, double tolerance)
    {
        Dictionary<string, float[]> weights = actual.Weights();
        foreach ((string name, float[] values) in expected.Weights().Where(w => !HasNoGradient(w.Key)))
        {
            double error = Math.Sqrt(values.Zip(weights[name], (a, b) => Math.Pow((double)a - b, 2)).Sum());
            double update = Math.Sqrt(values.Zip(initial[name], (a, b) => Math.Pow((double)a - b, 2)).Sum());
            Assert.True(update > 0, $"{name} was not trained.");
            Assert.True(error <= tolerance * update, string.Create(CultureInfo.InvariantCulture, $"{name}: its update differs by {error / update:G3} of its size."));
        }
    }

    // The keys' bias adds the same to all logits of a query.
    public static bool HasNoGradient(string name) => name.Contains("key.bias", StringComparison.Ordinal);

    private TrainingBatch Fill(int step, int pictures)
    {
        if (!_sources.TryGetValue(pictures, out (PairedCaptionSource Source, TrainingBatch[] Batches) of))
        {
            PairedCaptionSource source = new(
                _config with { BatchSize = pictures }, _data, _tokenizer, _model, TowerInputs.Of(_config, null, null), Math.Min(pictures, _microBatchSize));
            of = (source, [source.NewBatch(), source.NewBatch()]);
            _sources.Add(pictures, of);
        }

        TrainingBatch batch = of.Batches[step & 1];
        of.Source.Fill(batch, step);
        return batch;
    }

    private StepFigures StepOfBatch(TrainingBatch batch, int step)
    {
        _pause.Apply(step);
        if (!_readsHostInputs)
        {
            _runner.Run(batch, NumbersOf(step));
            if (_picturesOfNext is not null)
            {
                _prepared = (step + 1, Fill(step + 1, _picturesOfNext(step + 1)));
                _runner.Prepare(_prepared.Value.Batch, NumbersOf(step + 1));
            }

            return _runner.Read();
        }

        // Without the runner: tensors as large as the batch, which are uploaded operation by operation.
        _model.Parameters.ZeroGradients();
        _step.Run(batch, NumbersOf(step).DropoutKey);
        _optimizer.Step(step, 1e-3 / step);
        return new StepFigures(_step.Losses.ToArray<float>().Average(v => (double)v), _optimizer.Norm.ToArray<float>()[0], _model.Scale.Value.ToArray<float>()[0]);
    }
    private static StepNumbers NumbersOf(int step) => new(step, 1e-3 / step, (ulong)step * 0x1_0000_0001);
}
