using System.Runtime.InteropServices;
using CrossAlign.Kernels;
using CrossAlign.Models.Encoders;
using CrossAlign.Models.Training.Configuration;
using CrossAlign.Runtime;
using CrossAlign.Runtime.Cuda;

namespace CrossAlign.Models.Training;

/// <summary>
/// A step of training from a batch to new weights: gradients, clipping, update, and what is reported of it, with one wait for the
/// device. On CUDA devices steps are replayed from captured graphs, one a capacity of tokens: the first step of a capacity is issued
/// operation by operation, the second captured. Both are the same operations on the same tensors, and give the same bits. Where a tower
/// is frozen whole, its rows are looked up, or made, before the graph, which reads them; steps in which the towers stand still have
/// graphs of their own.
/// </summary>
internal sealed class StepRunner : IDisposable
{
    private const int NormAt = 0;
    private const int ScaleAt = NormAt + GradientNorm.ResultLength;

    // Of the sigmoid losses alone; then come the losses.
    private const int BiasAt = ScaleAt + 1;

    private readonly TwoTowerModel _model;
    private readonly RunConfig _config;
    private readonly ContrastiveStep _step;
    private readonly Optimizer _optimizer;
    private readonly Device _device;
    private readonly bool _capturesGraphs;
    private readonly int _tokensPerCapacity;
    private readonly Dictionary<(int Tokens, bool HasTypes), TextCapacity> _capacities = [];
    private readonly int _lossesAt;
    private readonly Tensor _figures;
    private readonly float[] _hostFigures;

    // Only where graphs are captured.
    private readonly StoredStepSettings _settings;
    private readonly Tensor _dropoutKey;
    private readonly PictureInputs _pictures;
    private readonly Tensor _pooledTexts;
    private readonly Tensor _pooledPictures;
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

        _settings = new StoredStepSettings(NewSettings(), NewSettings(), NewSettings());
        _dropoutKey = _device.NewTensor(DType.Int32, DropoutSite.StoredKeyShape);
        int b = config.BatchSize;
        if (step.Frozen.MayHaveTexts)
        {
            int texts = (config.CaptionsPerPicture + (config.Objective == Objective.TextText ? 1 : 0)) * b;
            _pooledTexts = _device.NewTensor(DType.Float32, new Shape(texts, model.Text!.Config.Width));
        }

        if (step.Frozen.HasPictures)
        {
            _pooledPictures = _device.NewTensor(DType.Float32, new Shape(b, model.Image!.Config.Width));
        }
        else if (config.Objective == Objective.ImageText)
        {
            ImageTower tower = model.Image!;
            int size = config.ImageTower.ImageSize;
            int rows = tower.RowsOf(size, size);
            _pictures = new PictureInputs(
                _device.NewTensor(DType.Float32, new Shape(b, 3, size, size)),
                _device.NewTensor(DType.Int32, new Shape(b + 1)),
                step.HasDropout ? _device.NewTensor(DType.Int32, new Shape(b * rows, 2)) : default);
            tower.WriteStarts(rows, _pictures.CuSeqlens);
        }
    }

    /// <summary>How many capacities of tokens there have been.</summary>
    public int CapacityCount => _capacities.Count;

    /// <summary>How many steps were replayed from a graph.</summary>
    public int ReplayCount { get; private set; }

    private bool RunsOnDeviceInputs => _step.RunsOnDeviceInputs && _device is CudaDevice;

    /// <summary>Makes a step; where a gradient is not finite nothing is changed. Does not wait for the device.</summary>
    /// <param name="batch">The batch.</param>
    /// <param name="number">The step, from 1.</param>
    /// <param name="learningRate">The common learning rate of this step.</param>
    /// <param name="dropoutKey">Key of this step's dropout.</param>
    /// <param name="textLearningRate">The common learning rate as the text tower has it, where it has the schedule for itself; null for the same.</param>
    public void Run(TrainingBatch batch, int number, double learningRate, ulong dropoutKey, double? textLearningRate = null)
    {
        if (RunsOnDeviceInputs)
        {
            RunOnDevice((CudaDevice)_device, batch, number, learningRate, dropoutKey, textLearningRate);
            return;
        }

        _model.Parameters.ZeroGradients();
        _step.Run(batch, dropoutKey);
        _optimizer.Step(number, learningRate, textLearningRate);
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
        DisposeCapacities();
        foreach (Tensor tensor in (Tensor[])[_figures, _settings.Common, _settings.Image, _settings.Text, _dropoutKey, _pictures.Pixels, _pictures.CuSeqlens, _pictures.TokenKeys, _pooledTexts, _pooledPictures])
        {
            if (tensor.IsPresent)
            {
                tensor.Memory.Dispose();
            }
        }
    }

    private void RunOnDevice(CudaDevice device, TrainingBatch batch, int number, double learningRate, ulong dropoutKey, double? textLearningRate)
    {
        MicroBatch whole = batch.MicroBatches[0];
        (StepPhase, bool) kind = (_optimizer.PhaseOf(number), _step.Frozen.HasTexts);
        if (_kind != kind)
        {
            // Other operations from here on; the graphs of the steps before are not needed any more.
            DisposeCapacities();
            _kind = kind;
        }

        TextCapacity capacity = CapacityFor(device, whole.Captions);
        Upload(batch, whole, capacity);
        _optimizer.StoreSettings(number, learningRate, textLearningRate, _settings);
        DropoutSite.WriteKey(dropoutKey, _dropoutKey);

        // A graph keeps the addresses of its capture; when activations have moved since, it is captured anew. Before it is captured a
        // step has run, so that kernels are loaded and working memory is large enough: a capture can take none.
        // A log of operations times them one by one, which a replayed graph has no room for.
        bool isSettled = capacity.Generation == _step.ArenaGeneration;
        if (_capturesGraphs && isSettled && device.Operations is null)
        {
            capacity.Graph ??= Capture(device, capacity);
            capacity.Graph.Launch();
            ReplayCount++;
            return;
        }

        capacity.Graph = null;
        Issue(capacity);
        capacity.Generation = _step.ArenaGeneration;
    }

    // By itself: where the lambda stands, each call makes its closure.
    private CudaGraph Capture(CudaDevice device, TextCapacity capacity) => CudaGraph.Capture(device, () => Issue(capacity));

    private TextCapacity CapacityFor(CudaDevice device, TokenBatch captions)
    {
        bool isRead = !_kind.LooksUpTexts;
        int tokens = isRead ? (captions.TokenCount + _tokensPerCapacity - 1) / _tokensPerCapacity * _tokensPerCapacity : 0;
        bool hasTypes = isRead && !captions.Types.IsEmpty;
        if (!_capacities.TryGetValue((tokens, hasTypes), out TextCapacity? capacity))
        {
            capacity = isRead ? new TextCapacity(device, tokens, captions.Count, hasTypes, _step.HasDropout) : new TextCapacity();
            _capacities.Add((tokens, hasTypes), capacity);
        }

        return capacity;
    }

    private void Upload(TrainingBatch batch, MicroBatch whole, TextCapacity capacity)
    {
        _step.Upload(batch);
        if (_kind.LooksUpTexts)
        {
            _step.Frozen.Texts(whole.Captions, _pooledTexts);
        }
        else
        {
            capacity.Upload(whole.Captions);
        }

        if (_pooledPictures.IsPresent)
        {
            _step.Frozen.Pictures(whole, _config.ImageTower.ImageSize, _pooledPictures);
        }
        else if (_pictures.Pixels.IsPresent)
        {
            _pictures.Pixels.CopyFrom<float>(whole.Pixels);
            if (_pictures.TokenKeys.IsPresent)
            {
                int rows = _pictures.TokenKeys.Shape[0] / whole.Count;
                _model.Image!.WriteKeys(whole.Count, rows, whole.Examples, _pictures.TokenKeys);
            }
        }
    }

    private void Issue(TextCapacity capacity)
    {
        _model.Parameters.ZeroGradients();
        _step.Run(
            new StepInputs(capacity.Inputs, _pictures, _kind.LooksUpTexts ? _pooledTexts : default, _pooledPictures),
            TowerPass.Training with { Recompute = _config.RecomputeActivations, Dropout = _step.HasDropout, StoredDropoutKey = _dropoutKey });
        _optimizer.Step(_settings, _kind.Phase);
        CollectFigures();
    }

    private Tensor NewSettings() => _device.NewTensor(DType.Float32, new Shape(AdamWSettings.StoredLength));

    private void DisposeCapacities()
    {
        foreach (TextCapacity capacity in _capacities.Values)
        {
            capacity.Dispose();
        }

        _capacities.Clear();
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
