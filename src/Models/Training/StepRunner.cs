using System.Runtime.InteropServices;
using CrossAlign.Kernels;
using CrossAlign.Models.Encoders;
using CrossAlign.Models.Training.Configuration;
using CrossAlign.Runtime;
using CrossAlign.Runtime.Cuda;

namespace CrossAlign.Models.Training;

/// <summary>
/// A step of training from a batch to new weights: gradients, clipping, update, and what is reported of it, with one wait for the
/// device. On CUDA devices steps are replayed from captured graphs, those that read captions one a capacity of tokens: the first time a
/// stage is issued operation by operation, the second time captured. Both are the same operations on the same tensors, and give the same bits.
/// A batch that goes through the towers at once is one graph; micro-batches have a graph each for what they do, which the next one replays, the
/// last and smaller one too: how many pictures there are is read from the device. Where a tower is frozen whole, its rows are looked up,
/// or made, before the graph, which reads them; steps in which the towers stand still have graphs of their own. What a step reads goes to the
/// device beside the work of the step, or part, before it, where that is known by then (<see cref="Prepare"/>).
/// </summary>
internal sealed partial class StepRunner : IDisposable
{
    private const int NormAt = 0;
    private const int ScaleAt = NormAt + GradientNorm.ResultLength;

    // Of the sigmoid losses alone; then come the losses.
    private const int BiasAt = ScaleAt + 1;

    // What a part has: pictures, rows of them, texts.
    private const int PicturesAt = 0;
    private const int PictureRowsAt = 1;
    private const int TextsAt = 2;
    private const int CountsLength = 3;

    private readonly TwoTowerModel _model;
    private readonly RunConfig _config;
    private readonly ContrastiveStep _step;
    private readonly Optimizer _optimizer;
    private readonly Device _device;
    private readonly bool _capturesGraphs;
    private readonly int _tokensPerCapacity;
    private readonly Dictionary<(int Tokens, bool HasTypes), TextCapacity> _capacities = [];
    private readonly StepGraphs _ofAllTexts = new();
    private readonly int _lossesAt;
    private readonly Tensor _figures;
    private readonly float[] _hostFigures;

    // Only where graphs are captured.
    private readonly StoredStepSettings _settings;
    private readonly Tensor _dropoutKey;
    private readonly PictureInputs _pictures;
    private readonly Tensor _pooledTexts;
    private readonly Tensor _pooledPictures;
    private readonly Tensor _counts;
    private readonly LiveRows? _livePictures;
    private readonly LiveRows? _livePictureRows;
    private readonly LiveRows? _liveTexts;
    private readonly int[] _hostCounts = new int[CountsLength];
    private readonly CudaUploads? _uploads;
    private (StepPhase Phase, bool LooksUpTexts) _kind;

    /// <summary>Takes the memory of what is reported, and of what graphs read.</summary>
    /// <param name="model">The model.</param>
    /// <param name="config">The run's configuration.</param>
    /// <param name="step">Loss and gradients.</param>
    /// <param name="optimizer">Clipping and update.</param>
    /// <param name="capturesGraphs">Whether to replay graphs where that is possible; else each operation is issued each time.</param>
    /// <param name="tokensPerCapacity">Capacities are multiples of this many tokens.</param>
    public StepRunner(
        TwoTowerModel model, RunConfig config, ContrastiveStep step, Optimizer optimizer, bool capturesGraphs = true, int tokensPerCapacity = TokenInputs.CapacityStep)
    {
        _model = model;
        _config = config;
        _step = step;
        _optimizer = optimizer;
        _device = model.Device;
        _capturesGraphs = capturesGraphs;
        _tokensPerCapacity = tokensPerCapacity;
        _lossesAt = ScaleAt + (model.LogitBias.IsPresent ? 2 : 1);
        _figures = _device.NewTensor(DType.Float32, new Shape(_lossesAt + step.LossCount));
        _hostFigures = new float[_figures.Shape[0]];
        if (!RunsOnDeviceInputs)
        {
            return;
        }

        _uploads = new CudaUploads((CudaDevice)_device);
        _settings = new StoredStepSettings(NewSettings(), NewSettings(), NewSettings());
        _dropoutKey = _device.NewTensor(DType.Int32, DropoutSite.StoredKeyShape);
        int b = step.PartSize;
        int texts = step.TextsPerPicture * b;
        int size = config.ImageTower.ImageSize;
        int rows = config.Objective == Objective.ImageText ? model.Image!.RowsOf(size, size) : 0;
        if (step.ReadsPictureCount)
        {
            _counts = _device.NewTensor(DType.Int32, new Shape(CountsLength));
            _livePictures = new LiveRows(b, _counts.Rows(PicturesAt, 1));
            _livePictureRows = new LiveRows(b * rows, _counts.Rows(PictureRowsAt, 1));
            _liveTexts = new LiveRows(texts, _counts.Rows(TextsAt, 1));
        }

        if (step.Frozen.MayHaveTexts)
        {
            _pooledTexts = _device.NewTensor(DType.Float32, new Shape(texts, model.Text!.Config.Width)).WithLiveRows(_liveTexts);
        }

        if (step.Frozen.HasPictures)
        {
            _pooledPictures = _device.NewTensor(DType.Float32, new Shape(b, model.Image!.Config.Width)).WithLiveRows(_livePictures);
        }
        else if (rows > 0)
        {
            _pictures = new PictureInputs(
                _device.NewTensor(DType.Float32, new Shape(b, 3, size, size)).WithLiveRows(_livePictures),
                _device.NewTensor(DType.Int32, new Shape(b + 1)),
                step.HasDropout ? _device.NewTensor(DType.Int32, new Shape(b * rows, 2)).WithLiveRows(_livePictureRows) : default,
                _livePictureRows);
        }
    }

    /// <summary>How many capacities of tokens there have been.</summary>
    public int CapacityCount => _capacities.Count;

    /// <summary>Bytes of the device that the captions of the largest of them take; 0 where there was none.</summary>
    public long CapacityByteCount => _capacities.Count == 0 ? 0 : _capacities.Values.Max(c => c.ByteCount);

    /// <summary>How many stages of steps were replayed from a graph: one a step where the batch goes through the towers at once.</summary>
    public int ReplayCount { get; private set; }

    /// <summary>How many graphs were captured.</summary>
    public int CaptureCount { get; private set; }

    // Without graphs there is nothing to be gained from parts that lie in the room of a larger one.
    private bool RunsOnDeviceInputs => _device is CudaDevice && (_capturesGraphs || _config.Accumulate == Accumulation.None);

    /// <summary>Makes a step; where a gradient is not finite nothing is changed. Does not wait for the device; the batch may change behind the call.</summary>
    /// <param name="batch">The batch.</param>
    /// <param name="numbers">Which step, how fast.</param>
    public void Run(TrainingBatch batch, in StepNumbers numbers)
    {
        if (TakesFromDevice(batch))
        {
            RunOnDevice((CudaDevice)_device, batch, numbers);
            return;
        }

        _model.Parameters.ZeroGradients();
        _step.Run(batch, numbers.DropoutKey);
        _optimizer.Step(numbers.Step, numbers.LearningRate, numbers.TextLearningRate);
        CollectFigures();
    }

    /// <summary>Waits for the device and gives what the last step has measured.</summary>
    /// <returns>The figures.</returns>
    public StepFigures Read()
    {
        _device.CopyToHost(_figures, MemoryMarshal.AsBytes(_hostFigures.AsSpan()));
        double losses = 0;
        for (int i = _lossesAt; i < _hostFigures.Length; i++)
        {
            losses += _hostFigures[i];
        }

        return new StepFigures(losses / _step.LossCount, _hostFigures[NormAt], _hostFigures[ScaleAt])
        {
            LogitBias = _model.LogitBias.IsPresent ? _hostFigures[BiasAt] : null,
        };
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _uploads?.Dispose();
        DisposeCapacities();
        foreach (Tensor tensor in (Tensor[])[_figures, _settings.Common, _settings.Image, _settings.Text, _dropoutKey, _pictures.Pixels, _pictures.CuSeqlens, _pictures.TokenKeys, _pooledTexts, _pooledPictures, _counts])
        {
            if (tensor.IsPresent)
            {
                tensor.Memory.Dispose();
            }
        }
    }

    private bool Fits(MicroBatch part) => _step.ReadsPictureCount || part.Count == _step.PartSize;

    private bool TakesFromDevice(TrainingBatch batch) => RunsOnDeviceInputs && (_config.Accumulate != Accumulation.None || Fits(batch.MicroBatches[0]));

    private void RunOnDevice(CudaDevice device, TrainingBatch batch, in StepNumbers numbers)
    {
        (StepPhase, bool) kind = (_optimizer.PhaseOf(numbers.Step), _step.Frozen.HasTexts);
        if (_kind != kind)
        {
            // Other operations from here on; the graphs of the steps before are not needed any more, nor what was sent to their inputs.
            Forget();
            DisposeCapacities();
            _kind = kind;
        }

        if (_config.Accumulate == Accumulation.None)
        {
            Launch(device, StepStage.Whole, Upload(device, batch, 0, numbers, opensStep: true));
            return;
        }

        Launch(device, StepStage.Begin, null);
        if (_config.Accumulate == Accumulation.Plain)
        {
            RunPlain(device, batch, numbers);
        }
        else
        {
            RunExact(device, batch, numbers);
        }

        Launch(device, StepStage.End, null);
    }

    private void RunPlain(CudaDevice device, TrainingBatch batch, in StepNumbers numbers)
    {
        for (int i = 0; i < batch.MicroBatches.Count; i++)
        {
            MicroBatch part = batch.MicroBatches[i];
            if (Fits(part))
            {
                TextCapacity capacity = Upload(device, batch, i, numbers, opensStep: i == 0);
                _step.BeginPart(part);
                Launch(device, StepStage.Part, capacity);
                if (i + 1 < batch.MicroBatches.Count && Fits(batch.MicroBatches[i + 1]))
                {
                    Send(device, batch, i + 1, numbers, opensStep: false);
                }

                _step.EndPart(i);
            }
            else
            {
                if (i == 0)
                {
                    UploadNumbers(batch, numbers);
                }

                _step.RunHostPart(batch, i, numbers.DropoutKey);
            }
        }
    }

    private void RunExact(CudaDevice device, TrainingBatch batch, in StepNumbers numbers)
    {
        // Behind the last part comes the first again.
        int count = batch.MicroBatches.Count;
        for (int i = 0; i < count; i++)
        {
            Launch(device, StepStage.Embed, Upload(device, batch, i, numbers, opensStep: i == 0));
            Send(device, batch, (i + 1) % count, numbers, opensStep: false);
            _step.KeepVectors(batch.MicroBatches[i]);
        }

        if (batch.Pictures == _config.BatchSize)
        {
            Launch(device, StepStage.Losses, null);
        }
        else
        {
            _step.TakeBatchLosses(batch.Pictures);
        }

        for (int i = 0; i < count; i++)
        {
            _step.BeginRerun(batch.MicroBatches[i]);
            Launch(device, StepStage.Rerun, Upload(device, batch, i, numbers, opensStep: false));
            if (i + 1 < count)
            {
                Send(device, batch, i + 1, numbers, opensStep: false);
            }
        }
    }

    // A graph keeps the addresses of its capture; when activations have moved since, it is captured anew. Before it is captured the
    // stage has run, so that kernels are loaded and working memory is large enough: a capture can take none.
    // A log of operations times them one by one, which a replayed graph has no room for.
    private void Launch(CudaDevice device, StepStage stage, TextCapacity? capacity)
    {
        StepGraphs graphs = capacity?.Graphs ?? _ofAllTexts;
        if (_capturesGraphs && graphs.Generation(stage) == _step.ArenaGeneration && device.Operations is null)
        {
            if (graphs[stage] is null)
            {
                graphs.Set(stage, Capture(device, stage, capacity));
                CaptureCount++;
            }

            graphs[stage]!.Launch();
            ReplayCount++;
            return;
        }

        graphs.Set(stage, null);
        Issue(stage, capacity);
        graphs.Generation(stage) = _step.ArenaGeneration;
    }

    // By itself: where the lambda stands, each call makes its closure.
    private CudaGraph Capture(CudaDevice device, StepStage stage, TextCapacity? capacity) => CudaGraph.Capture(device, () => Issue(stage, capacity));

    private TextCapacity CapacityFor(CudaDevice device, TokenBatch captions)
    {
        bool isRead = !_kind.LooksUpTexts;
        int tokens = isRead ? (captions.TokenCount + _tokensPerCapacity - 1) / _tokensPerCapacity * _tokensPerCapacity : 0;
        bool hasTypes = isRead && !captions.Types.IsEmpty;
        if (!_capacities.TryGetValue((tokens, hasTypes), out TextCapacity? capacity))
        {
            int texts = _step.TextsPerPicture * _step.PartSize;
            capacity = isRead ? new TextCapacity(device, tokens, texts, _liveTexts, hasTypes, _step.HasDropout) : new TextCapacity();
            _capacities.Add((tokens, hasTypes), capacity);
        }

        return capacity;
    }

    private void Issue(StepStage stage, TextCapacity? capacity)
    {
        if (stage is StepStage.Whole or StepStage.Begin)
        {
            _model.Parameters.ZeroGradients();
        }

        StepInputs inputs = new(capacity?.Inputs ?? default, _pictures, _kind.LooksUpTexts ? _pooledTexts : default, _pooledPictures);
        TowerPass pass = TowerPass.Training with { Recompute = _config.RecomputeActivations, Dropout = _step.HasDropout, StoredDropoutKey = _dropoutKey };
        switch (stage)
        {
            case StepStage.Whole or StepStage.Part:
                _step.RunPart(inputs, pass);
                break;
            case StepStage.Embed:
                _step.EmbedPart(inputs, pass);
                break;
            case StepStage.Losses:
                _step.TakeBatchLosses(_config.BatchSize);
                break;
            case StepStage.Rerun:
                _step.RerunPart(inputs, pass);
                break;
        }

        if (stage is StepStage.Whole or StepStage.End)
        {
            _optimizer.Step(_settings, _kind.Phase);
            CollectFigures();
        }
    }

    private Tensor NewSettings() => _device.NewTensor(DType.Float32, new Shape(AdamWSettings.StoredLength));

    private void DisposeCapacities()
    {
        foreach (TextCapacity capacity in _capacities.Values)
        {
            capacity.Dispose();
        }

        _capacities.Clear();
        _ofAllTexts.Dispose();
    }

    private void CollectFigures()
    {
        _device.Copy(_optimizer.Norm, _figures.Rows(NormAt, GradientNorm.ResultLength));
        _device.Copy(_model.Scale.Value, _figures.Rows(ScaleAt, 1));
        if (_model.LogitBias.IsPresent)
        {
            _device.Copy(_model.LogitBias.Value, _figures.Rows(BiasAt, 1));
        }

        _device.Copy(_step.Losses, _figures.Rows(_lossesAt, _step.LossCount));
    }
}
