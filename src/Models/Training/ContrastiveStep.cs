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
/// example, so the second run sees the same numbers. What lies on a device is worked on in stages without a copy from the host, so
/// that a graph can be captured of each; how many pictures a part of the batch has is then read from the device.
/// </summary>
internal sealed partial class ContrastiveStep : IDisposable
{
    private readonly TwoTowerModel _model;
    private readonly RunConfig _config;
    private readonly Device _device;
    private readonly TensorArena _arena;
    private readonly SimilarityCrossEntropyWorkspace _workspace;
    private readonly DeviceMemory _embeddings;
    private readonly Tensor _captions;
    private readonly Tensor _images;
    private readonly Tensor _dCaptions;
    private readonly Tensor _dImages;
    private readonly Tensor _dImagesOfOne;
    private readonly Tensor _losses;
    private readonly Tensor _captionGroups;

    // Of a part of the batch, where stages find them: groups and losses of plain accumulation, vectors (and then their gradients) of exact.
    private readonly Tensor _partGroups;
    private readonly Tensor _partLosses;
    private readonly Tensor _partTexts;
    private readonly Tensor _partImages;
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
        int losses = config.Accumulate == Accumulation.Plain ? parts : 1;
        PartSize = microBatchSize;
        LossRows = config.Accumulate == Accumulation.Plain ? Math.Min(microBatchSize, b) : b;
        _workspace = new SimilarityCrossEntropyWorkspace(_device, LossOptions.From(config.Loss), LossRows, LossRows, e);

        long perSet = (long)b * e;
        _embeddings = _device.Allocate(((2 * sets * perSet) + (3 * perSet)) * sizeof(float));
        long at = 0;
        _captions = Slice(new Shape(sets * b, e));
        _dCaptions = Slice(new Shape(sets * b, e));
        _images = Slice(new Shape(b, e));
        _dImages = Slice(new Shape(b, e));
        _dImagesOfOne = Slice(new Shape(b, e));
        _losses = _device.NewTensor(DType.Float32, new Shape(sets * losses));
        _captionGroups = config.Loss.Groups == GroupPolicy.None ? default : _device.NewTensor(DType.Int32, new Shape(b));
        _partGroups = _captionGroups;
        _partLosses = _losses;
        if (_device.Kind == DeviceKind.Cuda && config.Accumulate == Accumulation.Plain)
        {
            _partGroups = _captionGroups.IsPresent ? _device.NewTensor(DType.Int32, new Shape(LossRows)) : default;
            _partLosses = _device.NewTensor(DType.Float32, new Shape(sets));
        }

        if (_device.Kind == DeviceKind.Cuda && config.Accumulate == Accumulation.Exact)
        {
            bool pictures = config.Objective == Objective.ImageText;
            _partTexts = _device.NewTensor(DType.Float32, new Shape(TextsPerPicture * microBatchSize, e));
            _partImages = pictures ? _device.NewTensor(DType.Float32, new Shape(microBatchSize, e)) : default;
        }

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

    /// <summary>Texts of a picture: its captions, and the English one that stands in for it under a text-text objective.</summary>
    public int TextsPerPicture => _config.CaptionsPerPicture + (_config.Objective == Objective.TextText ? 1 : 0);

    /// <summary>Pictures that go through the towers at once; the last part of a batch may have fewer.</summary>
    public int PartSize { get; }

    /// <summary>
    /// Whether the number of a part's pictures is read from the device. One set of captions lies as the tower gives it; several lie one behind the
    /// other, and cutting them apart where the device says is left to copies between stages, which exact accumulation alone has. Where it is
    /// not read, a part must have <see cref="PartSize"/> pictures to be run in stages.
    /// </summary>
    public bool ReadsPictureCount => _config.Accumulate == Accumulation.Exact || TextsPerPicture == 1;

    /// <summary>Changes whenever the addresses of activations do.</summary>
    public int ArenaGeneration => _arena.Generation;

    /// <summary>Copies what the loss needs of a batch beside the towers' inputs.</summary>
    /// <param name="batch">The batch.</param>
    public void Upload(TrainingBatch batch)
    {
        if (_captionGroups.IsPresent)
        {
            _captionGroups.Rows(0, batch.Pictures).CopyFrom<int>(batch.Groups);
        }
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

                TakeBatchLosses(batch.Pictures);
                foreach (MicroBatch part in batch.MicroBatches)
                {
                    Embed(part, training);
                    Backward(part.First, part.Count, null, null);
                    _arena.Reset();
                }

                break;

            case Accumulation.Plain:
                for (int i = 0; i < batch.MicroBatches.Count; i++)
                {
                    RunHostPart(batch, i, training);
                }

                break;

            default:
                RunHostPart(batch, 0, training);
                break;
        }
    }

    /// <summary>Adds the gradients of one part with a loss of its own to the parameters'.</summary>
    /// <param name="batch">The batch, for which <see cref="Upload(TrainingBatch)"/> was called.</param>
    /// <param name="index">Which part.</param>
    /// <param name="dropoutKey">Key of this step's dropout.</param>
    public void RunHostPart(TrainingBatch batch, int index, ulong dropoutKey) =>
        RunHostPart(batch, index, TowerPass.Training with { Recompute = _config.RecomputeActivations, DropoutKey = dropoutKey });

    /// <inheritdoc/>
    public void Dispose()
    {
        _arena.Dispose();
        _frozen.Dispose();
        _embeddings.Dispose();
        _losses.Memory.Dispose();
        foreach (Tensor tensor in (Tensor[])[_captionGroups, _partGroups, _partLosses, _partTexts, _partImages])
        {
            if (tensor.IsPresent)
            {
                tensor.Memory.Dispose();
            }
        }

        _workspace.Dispose();
    }

    // A tower that is frozen whole is an encoder, not a learner: it drops nothing, and its vectors repeat. One that only stands still
    // at the start, or in part, drops as in training.
    private static bool Drops(EncoderTower? tower) =>
        tower is not null && tower.Freeze != TowerFreeze.All && (tower.Config.HiddenDropout > 0 || tower.Config.AttentionDropout > 0);

    private void RunHostPart(TrainingBatch batch, int index, in TowerPass pass)
    {
        MicroBatch part = batch.MicroBatches[index];
        Embed(part, pass);
        Tensor groups = _captionGroups.IsPresent ? _captionGroups.Rows(part.First, part.Count) : default;
        TakeLosses(_losses.Rows(index * _config.CaptionsPerPicture, _config.CaptionsPerPicture), groups, part.First, part.Count, null);
        Backward(part.First, part.Count, null, null);
        _arena.Reset();
    }

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
        if (!_device.IsPlan)
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
        _device.Copy(images.IsPresent ? images.Rows(0, count) : texts.Rows(sets * count, count), _images.Rows(first, count));
        for (int k = 0; k < sets; k++)
        {
            _device.Copy(texts.Rows(k * count, count), _captions.Rows((k * b) + first, count));
        }
    }

    // live: how many of the pictures count, read from the device; null where all do.
    private void TakeLosses(in Tensor losses, in Tensor groups, int first, int count, LiveRows? live)
    {
        int sets = _config.CaptionsPerPicture;
        int b = _config.BatchSize;
        Tensor images = _images.Rows(first, count).WithLiveRows(live);
        Tensor dImages = _dImages.Rows(first, count).WithLiveRows(live);
        Tensor groupsOfThese = groups.IsPresent ? groups.Rows(0, count).WithLiveRows(live) : default;
        for (int k = 0; k < sets; k++)
        {
            Tensor dImagesOfThis = k == 0 ? dImages : _dImagesOfOne.Rows(0, count).WithLiveRows(live);
            SimilarityCrossEntropyInputs inputs = new()
            {
                Captions = _captions.Rows((k * b) + first, count).WithLiveRows(live),
                Images = images,
                Scale = _model.Scale.Value,
                Bias = _model.LogitBias.Value,
                CaptionGroups = groupsOfThese,
                ImageGroups = groupsOfThese,
            };
            SimilarityCrossEntropyOutputs outputs = new() { Loss = losses.Rows(k, 1) };
            SimilarityCrossEntropyGradients gradients = new()
            {
                DCaptions = _dCaptions.Rows((k * b) + first, count).WithLiveRows(live),
                DImages = dImagesOfThis,
                DScale = _config.Loss.ScaleLearned ? _model.Scale.Gradient : default,
                DBias = _model.LogitBias.Gradient,
            };
            SimilarityCrossEntropy.ForwardBackward(_workspace, inputs, outputs, gradients);
            if (k > 0)
            {
                Residual.Add(dImages, dImagesOfThis, dImages);
            }
        }

        _clock?.Lap(StepPart.Loss);
    }

    private void Backward(int first, int count, LiveRows? liveTexts, LiveRows? livePictures)
    {
        Tensor dTexts = _arena.Take(DType.Float32, new Shape(TextsPerPicture * count, _config.Projection.Width), liveTexts);
        Gather(dTexts, first, count);
        _clock?.Lap(StepPart.Loss);
        BackwardTowers(dTexts, _config.Objective == Objective.ImageText ? _dImages.Rows(first, count).WithLiveRows(livePictures) : default);
    }

    // The gradients of a part's texts, in the order of the texts: the counterpart of Keep.
    private void Gather(in Tensor dTexts, int first, int count)
    {
        int sets = _config.CaptionsPerPicture;
        for (int k = 0; k < sets; k++)
        {
            _device.Copy(_dCaptions.Rows((k * _config.BatchSize) + first, count), dTexts.Rows(k * count, count));
        }

        if (_config.Objective == Objective.TextText)
        {
            _device.Copy(_dImages.Rows(first, count), dTexts.Rows(sets * count, count));
        }
    }

    private void BackwardTowers(in Tensor dTexts, in Tensor dImages)
    {
        if (dImages.IsPresent)
        {
            _model.BackwardImages(dImages, _arena);
            _clock?.Lap(StepPart.ImageTower);
        }

        _model.BackwardText(dTexts, _arena);
        _clock?.Lap(StepPart.TextTower);
    }
}
