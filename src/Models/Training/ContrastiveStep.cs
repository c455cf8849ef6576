using CrossAlign.Kernels;
using CrossAlign.Models.Encoders;
using CrossAlign.Models.Training.Configuration;
using CrossAlign.Runtime;

namespace CrossAlign.Models.Training;

/// <summary>
/// Loss and gradients of one batch: towers forward, a contrastive loss for each set of captions against the same pictures, towers
/// backward. Large batches go through the towers in micro-batches: with <see cref="Accumulation.Exact"/> they are embedded first
/// without keeping activations, the loss is taken over all of them, and each is run again with its part of the gradient (L. Gao et
/// al., "Scaling Deep Contrastive Learning Batch Size under Memory Limited Setup", 2021). Dropout and augmentation are keyed by
/// example, so the second run sees the same numbers.
/// </summary>
internal sealed class ContrastiveStep : IDisposable
{
    private readonly TwoTowerModel _model;
    private readonly RunConfig _config;
    private readonly Device _device;
    private readonly TensorArena _arena;
    private readonly SimilarityCrossEntropyWorkspace[] _workspaces;
    private readonly DeviceMemory _embeddings;
    private readonly Tensor _captions;
    private readonly Tensor _images;
    private readonly Tensor _dCaptions;
    private readonly Tensor _dImages;
    private readonly Tensor _dImagesOfOne;
    private readonly Tensor _losses;
    private readonly Tensor _captionGroups;
    private readonly FrozenFeatures _frozen;
    private readonly bool _textDrops;
    private readonly bool _imageDrops;
    private readonly StepClock? _clock;

    /// <summary>Plans the memory of a step.</summary>
    /// <param name="model">The towers, frozen as the configuration says; gradients must have been allocated.</param>
    /// <param name="config">Loss, batch and objective.</param>
    /// <param name="microBatchSize">Pictures a micro-batch; the batch size for one.</param>
    /// <param name="clock">Told where the time goes; null for nobody.</param>
    public ContrastiveStep(TwoTowerModel model, RunConfig config, int microBatchSize, StepClock? clock = null)
    {
        _clock = clock;
        _model = model;
        _config = config;
        _device = model.Parameters.Device;
        _frozen = new FrozenFeatures(model, config);
        _textDrops = Drops(model.Text);
        _imageDrops = Drops(model.Image);
        int b = config.BatchSize;
        int e = config.Projection.Width;
        int sets = config.CaptionsPerPicture;
        int parts = (b + microBatchSize - 1) / microBatchSize;
        _arena = new TensorArena(_device, 1 << 20);

        // One loss over the whole batch, or one for each micro-batch (the last may be smaller).
        int[] rows = config.Accumulate == Accumulation.Plain
            ? [.. Enumerable.Range(0, parts).Select(p => Math.Min(microBatchSize, b - (p * microBatchSize)))]
            : [b];
        LossRows = rows[0];
        SimilarityCrossEntropyOptions options = LossOptions.From(config.Loss);
        _workspaces = Array.ConvertAll(rows, n => new SimilarityCrossEntropyWorkspace(_device, options, n, n, e));

        long perSet = (long)b * e;
        _embeddings = _device.Allocate(((2 * sets * perSet) + (3 * perSet)) * sizeof(float));
        long at = 0;
        _captions = Slice(new Shape(sets * b, e));
        _dCaptions = Slice(new Shape(sets * b, e));
        _images = Slice(new Shape(b, e));
        _dImages = Slice(new Shape(b, e));
        _dImagesOfOne = Slice(new Shape(b, e));
        _losses = _device.NewTensor(DType.Float32, new Shape(sets * rows.Length));
        _captionGroups = config.Loss.Groups == GroupPolicy.None ? default : _device.NewTensor(DType.Int32, new Shape(b));

        Tensor Slice(Shape shape)
        {
            Tensor tensor = new(_embeddings, at, DType.Float32, shape);
            at += tensor.ByteCount;
            return tensor;
        }
    }

    /// <summary>The number of losses that a step's gradients are the sum of; their mean is what is trained.</summary>
    public int LossCount => _losses.Shape[0];

    /// <summary>The most captions, and pictures, that one of these losses compares.</summary>
    public int LossRows { get; }

    /// <summary>(<see cref="LossCount"/>), float32: the losses of the last step.</summary>
    public Tensor Losses => _losses;

    /// <summary>Whether dropout acts.</summary>
    public bool HasDropout => _textDrops || _imageDrops;

    /// <summary>The vectors of towers that are frozen whole.</summary>
    public FrozenFeatures Frozen => _frozen;

    /// <summary>
    /// Whether <see cref="Run(in StepInputs, in TowerPass)"/> makes this run's steps: one loss over a batch that goes through both towers
    /// at once, the same operations at every step. A batch has as many pictures at every step, so that their number is the graph's.
    /// </summary>
    public bool RunsOnDeviceInputs => _config.Accumulate == Accumulation.None;

    /// <summary>Changes whenever the addresses of activations do.</summary>
    public int ArenaGeneration => _arena.Generation;

    /// <summary>Copies what the loss needs of a batch beside the towers' inputs.</summary>
    /// <param name="batch">The batch.</param>
    public void Upload(TrainingBatch batch)
    {
        if (_captionGroups.IsPresent)
        {
            _captionGroups.CopyFrom<int>(batch.Groups);
        }
    }

    /// <summary>
    /// Adds the gradients of a batch that lies on the device to the parameters'. Nothing is copied from the host, so that a graph can
    /// be captured of it.
    /// </summary>
    /// <param name="inputs">The captions, in the order of <see cref="MicroBatch.Captions"/>, and the pictures, or what frozen towers make of them.</param>
    /// <param name="pass">Training, with this step's dropout.</param>
    public void Run(in StepInputs inputs, in TowerPass pass)
    {
        Tensor embedded = inputs.PooledTexts.IsPresent
            ? _model.TextHead!.Forward(inputs.PooledTexts, _arena)
            : _model.ForwardText(inputs.Texts, _arena, pass with { Dropout = _textDrops });
        Tensor images = _config.Objective == Objective.TextText ? default
            : inputs.PooledPictures.IsPresent ? _model.ImageHead!.Forward(inputs.PooledPictures, _arena)
            : _model.ForwardImages(inputs.Pictures, _arena, pass with { Dropout = _imageDrops });
        Keep(embedded, images, 0, _config.BatchSize);
        TakeLosses(0, 0, _config.BatchSize);
        Backward(0, _config.BatchSize);
        _arena.Reset();
    }

    /// <summary>Adds the batch's gradients, summed over <see cref="LossCount"/> losses, to the parameters'.</summary>
    /// <param name="batch">The batch.</param>
    /// <param name="dropoutKey">Key of this step's dropout.</param>
    public void Run(TrainingBatch batch, ulong dropoutKey)
    {
        TowerPass training = TowerPass.Training with { Recompute = _config.RecomputeActivations, DropoutKey = dropoutKey };
        Upload(batch);
        switch (_config.Accumulate)
        {
            case Accumulation.Exact:
                TowerPass embedding = training with { KeepActivations = false };
                foreach (MicroBatch part in batch.MicroBatches)
                {
                    Embed(part, embedding);
                    _arena.Reset();
                }

                TakeLosses(0, 0, batch.Pictures);
                foreach (MicroBatch part in batch.MicroBatches)
                {
                    Embed(part, training);
                    Backward(part.First, part.Count);
                    _arena.Reset();
                }

                break;

            case Accumulation.Plain:
                for (int i = 0; i < batch.MicroBatches.Count; i++)
                {
                    MicroBatch part = batch.MicroBatches[i];
                    Embed(part, training);
                    TakeLosses(i, part.First, part.Count);
                    Backward(part.First, part.Count);
                    _arena.Reset();
                }

                break;

            default:
                Embed(batch.MicroBatches[0], training);
                TakeLosses(0, 0, batch.Pictures);
                Backward(0, batch.Pictures);
                _arena.Reset();
                break;
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _arena.Dispose();
        _frozen.Dispose();
        _embeddings.Dispose();
        _losses.Memory.Dispose();
        if (_captionGroups.IsPresent)
        {
            _captionGroups.Memory.Dispose();
        }

        foreach (SimilarityCrossEntropyWorkspace workspace in _workspaces)
        {
            workspace.Dispose();
        }
    }

    // A tower that is frozen whole is an encoder, not a learner: it drops nothing, and its vectors repeat. One that only stands still
    // at the start, or in part, drops as in training.
    private static bool Drops(EncoderTower? tower) =>
        tower is not null && tower.Freeze != TowerFreeze.All && (tower.Config.HiddenDropout > 0 || tower.Config.AttentionDropout > 0);

    private void Embed(MicroBatch part, in TowerPass pass)
    {
        Tensor texts = EmbedTexts(part, pass);
        _clock?.Lap(StepPart.TextTower);
        Tensor images = default;
        if (_config.Objective != Objective.TextText)
        {
            images = EmbedPictures(part, pass);
            _clock?.Lap(StepPart.ImageTower);
        }

        Keep(texts, images, part.First, part.Count);
    }

    private Tensor EmbedTexts(MicroBatch part, in TowerPass pass)
    {
        if (_frozen.HasTexts)
        {
            return _model.TextHead!.Forward(_frozen.Texts(part.Captions, _arena), _arena);
        }

        if (_frozen.HasLowerTexts)
        {
            return _model.TextHead!.Forward(_frozen.UpperTexts(part.Captions, _arena, pass), _arena);
        }

        return _model.ForwardText(part.Captions, _arena, pass with { Dropout = _textDrops });
    }

    private Tensor EmbedPictures(MicroBatch part, in TowerPass pass)
    {
        int size = _config.ImageTower.ImageSize;
        if (_frozen.HasPictures)
        {
            return _model.ImageHead!.Forward(_frozen.Pictures(part, size, _arena), _arena);
        }

        Tensor pixels = _arena.Take(DType.Float32, new Shape(part.Count, 3, size, size));
        if (_device.Kind != DeviceKind.Plan)
        {
            pixels.CopyFrom<float>(part.Pixels);
        }

        return _model.ForwardImages(pixels, _arena, pass with { Dropout = _imageDrops }, part.Examples);
    }

    // Without images the texts' vectors end with those of the English captions that stand in for them: one pass over both, because the
    // tower remembers one forward pass.
    private void Keep(in Tensor texts, in Tensor images, int first, int count)
    {
        int sets = _config.CaptionsPerPicture;
        int b = _config.BatchSize;
        _device.Copy(images.IsPresent ? images : texts.Rows(sets * count, count), _images.Rows(first, count));
        for (int k = 0; k < sets; k++)
        {
            _device.Copy(texts.Rows(k * count, count), _captions.Rows((k * b) + first, count));
        }
    }

    private void TakeLosses(int workspace, int first, int count)
    {
        int sets = _config.CaptionsPerPicture;
        int b = _config.BatchSize;
        Tensor images = _images.Rows(first, count);
        Tensor dImages = _dImages.Rows(first, count);
        Tensor groups = _captionGroups.IsPresent ? _captionGroups.Rows(first, count) : default;
        for (int k = 0; k < sets; k++)
        {
            Tensor dImagesOfThis = k == 0 ? dImages : _dImagesOfOne.Rows(0, count);
            SimilarityCrossEntropyInputs inputs = new()
            {
                Captions = _captions.Rows((k * b) + first, count),
                Images = images,
                Scale = _model.Scale.Value,
                Bias = _model.LogitBias.Value,
                CaptionGroups = groups,
                ImageGroups = groups,
            };
            SimilarityCrossEntropyOutputs outputs = new() { Loss = _losses.Rows((workspace * sets) + k, 1) };
            SimilarityCrossEntropyGradients gradients = new()
            {
                DCaptions = _dCaptions.Rows((k * b) + first, count),
                DImages = dImagesOfThis,
                DScale = _config.Loss.ScaleLearned ? _model.Scale.Gradient : default,
                DBias = _model.LogitBias.Gradient,
            };
            SimilarityCrossEntropy.ForwardBackward(_workspaces[workspace], inputs, outputs, gradients);
            if (k > 0)
            {
                Residual.Add(dImages, dImagesOfThis, dImages);
            }
        }

        _clock?.Lap(StepPart.Loss);
    }

    private void Backward(int first, int count)
    {
        int sets = _config.CaptionsPerPicture;
        int b = _config.BatchSize;
        int e = _config.Projection.Width;
        bool pictures = _config.Objective == Objective.ImageText;
        Tensor dTexts = _arena.Take(DType.Float32, new Shape((sets + (pictures ? 0 : 1)) * count, e));
        for (int k = 0; k < sets; k++)
        {
            _device.Copy(_dCaptions.Rows((k * b) + first, count), dTexts.Rows(k * count, count));
        }

        _clock?.Lap(StepPart.Loss);
        if (pictures)
        {
            _model.BackwardImages(_dImages.Rows(first, count), _arena);
            _clock?.Lap(StepPart.ImageTower);
        }
        else
        {
            _device.Copy(_dImages.Rows(first, count), dTexts.Rows(sets * count, count));
        }

        _model.BackwardText(dTexts, _arena);
        _clock?.Lap(StepPart.TextTower);
    }
}
