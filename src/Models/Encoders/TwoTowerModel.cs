using CrossAlign.Kernels;
using CrossAlign.Models.Checkpoints;
using CrossAlign.Runtime;
using CrossAlign.Runtime.Cuda;

namespace CrossAlign.Models.Encoders;

/// <summary>
/// A text tower and an image tower with their heads into one space, and the learned multiplier of similarities. Either tower may be
/// absent. One store keeps all parameters, under the names <c>text_encoder.*</c>, <c>image_encoder.*</c>, <c>text_head.*</c>,
/// <c>image_head.*</c> and <c>logit_scale</c>. Not safe for use from several threads at once.
/// </summary>
public sealed partial class TwoTowerModel : IDisposable
{
    /// <summary>What stands before the text tower's published names in the store.</summary>
    public const string TextPrefix = "text_encoder.";

    /// <summary>What stands before the image tower's published names in the store.</summary>
    public const string ImagePrefix = "image_encoder.";

    /// <summary>The name of the number that sigmoid losses add to every similarity.</summary>
    public const string LogitBiasName = "logit_bias";

    private const long FirstArenaByteCount = 1 << 20;

    private TensorArena? _arena;
    private EmbeddingInputs? _inputs;

    /// <summary>Takes the parameters of a model; call <see cref="Initialize"/> or load them before use.</summary>
    /// <param name="device">Where the model lies; it must outlive the model.</param>
    /// <param name="text">The text tower; null for none.</param>
    /// <param name="image">The image tower; null for none.</param>
    /// <param name="options">What there is beside the towers.</param>
    /// <exception cref="ArgumentException">There is no tower at all.</exception>
    public TwoTowerModel(Device device, TextEncoderConfig? text, ImageEncoderConfig? image, TwoTowerOptions options)
    {
        ArgumentNullException.ThrowIfNull(device);
        ArgumentNullException.ThrowIfNull(options);
        if (text is null && image is null)
        {
            throw new ArgumentException("A model needs a tower.", nameof(text));
        }

        Options = options;
        Parameters = new ParameterStore(device);
        Text = text is null ? null : new TextTower(text, Parameters, TextPrefix);
        Image = image is null ? null : new ImageTower(image, Parameters, ImagePrefix);
        if (options.ProjectionWidth > 0)
        {
            TextHead = text is null ? null
                : new Projection(ParameterGroup.TextHead, options.HasPublishedHeads ? "text_projection" : "text_head", text.Width, options.ProjectionWidth, options.ProjectionBias, Parameters);
            ImageHead = image is null ? null
                : new Projection(ParameterGroup.ImageHead, options.HasPublishedHeads ? "visual_projection" : "image_head", image.Width, options.ProjectionWidth, options.ProjectionBias, Parameters);
        }

        Scale = options.ScaleName is string name
            ? Parameters.Add(new ParameterScope(ParameterGroup.Scale, ""), name, ParameterKind.Scale, default, 0, new Shape(1))
            : ParameterTensor.Absent;
        LogitBias = options.HasLogitBias
            ? Parameters.Add(new ParameterScope(ParameterGroup.Scale, ""), LogitBiasName, ParameterKind.LogitBias, default, 0, new Shape(1))
            : ParameterTensor.Absent;
    }

    /// <summary>What there is beside the towers.</summary>
    public TwoTowerOptions Options { get; }

    /// <summary>All parameters.</summary>
    public ParameterStore Parameters { get; }

    /// <summary>Where the model lies.</summary>
    public Device Device => Parameters.Device;

    /// <summary>The text tower; null for none.</summary>
    public TextTower? Text { get; }

    /// <summary>How the towers store what they compute: <see cref="EncoderTower.ActivationType"/> of both. Vectors, and the heads that make them, are float32 always.</summary>
    /// <exception cref="ArgumentOutOfRangeException">It is neither float32 nor bfloat16.</exception>
    public DType ActivationType
    {
        get => Text?.ActivationType ?? Image!.ActivationType;
        set
        {
            foreach (EncoderTower? tower in (ReadOnlySpan<EncoderTower?>)[Text, Image])
            {
                tower?.ActivationType = value;
            }
        }
    }

    /// <summary>The image tower; null for none.</summary>
    public ImageTower? Image { get; }

    /// <summary>The head behind the text tower; null for none.</summary>
    public Projection? TextHead { get; }

    /// <summary>The head behind the image tower; null for none.</summary>
    public Projection? ImageHead { get; }

    /// <summary>Dense layers that the text tower's folder declares behind its pooling; applied where a head would be, when texts are embedded.</summary>
    public IReadOnlyList<DenseModule> TextDense { get; private set; } = [];

    /// <summary>The learned multiplier of similarities, or its logarithm (see <see cref="TwoTowerOptions.ScaleName"/>): value and gradient of shape (1); absent for none.</summary>
    public ParameterTensor Scale { get; }

    /// <summary>What the sigmoid losses add to every similarity: value and gradient of shape (1); absent for the softmax losses.</summary>
    public ParameterTensor LogitBias { get; }

    /// <summary>Loads a model: a folder that <see cref="ModelFolder.Save"/> or an export wrote, or a published checkpoint of a text tower, an image tower or CLIP.</summary>
    /// <param name="device">Where the model is to lie; it must outlive the model.</param>
    /// <param name="folder">The folder.</param>
    /// <returns>The model, owned by the caller; pooling as the folder declares it.</returns>
    /// <exception cref="UserErrorException">The folder holds no model that is known here, or its tensors do not fit; the message names what is wrong.</exception>
    public static TwoTowerModel Load(Device device, string folder) => ModelFolder.Load(device, folder, out _);

    /// <summary>The width of a text's vector (a picture's where there is no text tower), head included.</summary>
    /// <param name="project">Whether the head is applied.</param>
    /// <param name="pooling">How rows become vectors; null: as the model's options say.</param>
    /// <returns>E, or the tower's width, once for each pooling.</returns>
    public int EmbeddingWidth(bool project = true, PoolingModes? pooling = null) =>
        project && Options.ProjectionWidth > 0 ? Options.ProjectionWidth
        : project && TextDense.Count > 0 ? TextDense[^1].OutputWidth
        : Text is null ? Image!.Config.Width
        : Text.Config.Width * (pooling ?? Options.TextPooling).Kinds.Length;

    /// <summary>The width of a picture's vector, head included.</summary>
    /// <param name="project">Whether the head is applied.</param>
    /// <returns>E, or the image tower's width.</returns>
    /// <exception cref="InvalidOperationException">There is no image tower.</exception>
    public int PictureEmbeddingWidth(bool project = true) => project && ImageHead is not null ? Options.ProjectionWidth : RequireImage().Config.Width;

    /// <summary>Puts the dense layers behind the text tower's pooling.</summary>
    /// <param name="modules">The layers, in order.</param>
    /// <exception cref="UserErrorException">One does not take what the one before it gives.</exception>
    internal void SetTextDense(IReadOnlyList<DenseModule> modules)
    {
        int width = RequireText().Config.Width * Options.TextPooling.Kinds.Length;
        foreach (DenseModule module in modules)
        {
            width = module.InputWidth == width
                ? module.OutputWidth
                : throw new UserErrorException(
                    FormattableString.Invariant($"a dense layer takes rows of {module.InputWidth} numbers, and what stands before it gives {width}"), "fetch the checkpoint again");
        }

        TextDense = modules;
    }

    /// <summary>Stores as bfloat16 what that serves: activations, and copies of the weights for the products that read them (<see cref="ParameterStore.AllocateCopies"/>).</summary>
    /// <exception cref="OutOfMemoryException">The device has not that much left.</exception>
    public void StoreBFloat16()
    {
        ActivationType = DType.BFloat16;
        Parameters.AllocateCopies();
    }

    /// <summary>Draws first values for all parameters but the scale.</summary>
    /// <param name="seed">The run's seed.</param>
    public void Initialize(ulong seed)
    {
        foreach (Parameter parameter in Parameters.Parameters)
        {
            ParameterInitialization.Initialize(parameter, seed);
        }
    }

    /// <summary>Encodes texts: tower, pooling, head.</summary>
    /// <param name="batch">At least one text.</param>
    /// <param name="arena">Where activations are taken.</param>
    /// <param name="pass">What the pass is for.</param>
    /// <returns>(S, E), not normalised, valid until the arena is reset.</returns>
    /// <exception cref="InvalidOperationException">There is no text tower.</exception>
    public Tensor ForwardText(TokenBatch batch, TensorArena arena, in TowerPass pass)
    {
        Tensor pooled = RequireText().Forward(batch, Options.TextPooling.Only, arena, pass);
        return TextHead is null ? pooled : TextHead.Forward(pooled, arena);
    }

    /// <summary>Encodes texts that lie on the device: tower, pooling, head; nothing is copied from the host.</summary>
    /// <param name="inputs">At least one text.</param>
    /// <param name="arena">Where activations are taken.</param>
    /// <param name="pass">What the pass is for.</param>
    /// <returns>(S, E), not normalised, valid until the arena is reset.</returns>
    /// <exception cref="InvalidOperationException">There is no text tower.</exception>
    public Tensor ForwardText(in TokenInputs inputs, TensorArena arena, in TowerPass pass)
    {
        Tensor pooled = RequireText().Forward(inputs, Options.TextPooling.Only, arena, pass);
        return TextHead is null ? pooled : TextHead.Forward(pooled, arena);
    }

    /// <summary>The gradients of the last <see cref="ForwardText(TokenBatch, TensorArena, in TowerPass)"/>: added (+=) to the parameters' that are not frozen.</summary>
    /// <param name="dEmbeddings">(S, E).</param>
    /// <param name="arena">Where working tensors are taken.</param>
    public void BackwardText(in Tensor dEmbeddings, TensorArena arena)
    {
        TextTower tower = RequireText();
        bool towerIsTrained = tower.Freeze != TowerFreeze.All;
        Tensor dPooled = TextHead is null ? dEmbeddings : TextHead.Backward(dEmbeddings, arena, towerIsTrained);
        if (towerIsTrained)
        {
            tower.Backward(dPooled, arena);
        }
    }

    /// <summary>Encodes pictures: tower, pooling, head.</summary>
    /// <param name="pixels">(B, 3, H, W), float32, normalised.</param>
    /// <param name="arena">Where activations are taken.</param>
    /// <param name="pass">What the pass is for.</param>
    /// <param name="examples">Numbers that name the pictures in the data set, read only with dropout; empty: their places in the batch.</param>
    /// <returns>(B, E), not normalised, valid until the arena is reset.</returns>
    /// <exception cref="InvalidOperationException">There is no image tower.</exception>
    public Tensor ForwardImages(in Tensor pixels, TensorArena arena, in TowerPass pass, ReadOnlySpan<int> examples = default)
    {
        Tensor pooled = RequireImage().Forward(pixels, Options.ImagePooling, arena, pass, examples);
        return ImageHead is null ? pooled : ImageHead.Forward(pooled, arena);
    }

    /// <summary>Encodes pictures that lie on the device: tower, pooling, head; nothing is copied from the host.</summary>
    /// <param name="inputs">At least one picture.</param>
    /// <param name="arena">Where activations are taken.</param>
    /// <param name="pass">What the pass is for.</param>
    /// <returns>(B, E), not normalised, valid until the arena is reset.</returns>
    /// <exception cref="InvalidOperationException">There is no image tower.</exception>
    public Tensor ForwardImages(in PictureInputs inputs, TensorArena arena, in TowerPass pass)
    {
        Tensor pooled = RequireImage().Forward(inputs, Options.ImagePooling, arena, pass);
        return ImageHead is null ? pooled : ImageHead.Forward(pooled, arena);
    }

    /// <summary>The gradients of the last <see cref="ForwardImages(in Tensor, TensorArena, in TowerPass, ReadOnlySpan{int})"/>: added (+=) to the parameters' that are not frozen.</summary>
    /// <param name="dEmbeddings">(B, E).</param>
    /// <param name="arena">Where working tensors are taken.</param>
    public void BackwardImages(in Tensor dEmbeddings, TensorArena arena)
    {
        ImageTower tower = RequireImage();
        bool towerIsTrained = tower.Freeze != TowerFreeze.All;
        Tensor dPooled = ImageHead is null ? dEmbeddings : ImageHead.Backward(dEmbeddings, arena, towerIsTrained);
        if (towerIsTrained)
        {
            tower.Backward(dPooled, arena);
        }
    }

    /// <summary>The vectors of a batch of texts, on the host.</summary>
    /// <param name="batch">At least one text.</param>
    /// <param name="destination">(S, width), overwritten.</param>
    /// <param name="project">Whether the head is applied where there is one.</param>
    /// <param name="normalize">Whether rows are divided by their Euclidean norm.</param>
    /// <param name="pooling">How rows become vectors; null: as the model's options say.</param>
    /// <param name="unpooledTokens">How many of each text's first tokens means and maxima leave out; the first and the last token stay what they are.</param>
    /// <exception cref="ArgumentException">The batch is empty or <paramref name="destination"/> has another length.</exception>
    /// <exception cref="InvalidOperationException">There is no text tower.</exception>
    public void EmbedText(TokenBatch batch, Span<float> destination, bool project = true, bool normalize = true, PoolingModes? pooling = null, int unpooledTokens = 0)
    {
        TensorArena arena = Arena();
        PoolingModes modes = pooling ?? Options.TextPooling;
        FinishTexts(RequireText().Forward(batch, modes.Kinds[0], arena, TowerPass.Inference), batch, destination, project, normalize, modes, unpooledTokens);
    }

    /// <summary>Where the model lies on a CUDA device: what is embedded there goes to it beside the batch before. Else null.</summary>
    internal EmbeddingInputs? Inputs => _inputs ??= Device is CudaDevice cuda ? new EmbeddingInputs(cuda) : null;

    /// <summary>The vectors of a batch of texts that is delivered by <see cref="Inputs"/>; the same bits.</summary>
    /// <param name="batch">As for the other.</param>
    /// <param name="destination">As for the other.</param>
    /// <param name="project">As for the other.</param>
    /// <param name="normalize">As for the other.</param>
    /// <param name="pooling">As for the other.</param>
    /// <param name="unpooledTokens">As for the other.</param>
    /// <param name="beside">Called when the tower's work is issued and before it is waited for.</param>
    internal void EmbedText(TokenBatch batch, Span<float> destination, bool project, bool normalize, PoolingModes pooling, int unpooledTokens, Action beside)
    {
        TensorArena arena = Arena();
        TextTower tower = RequireText();
        Tensor rows = tower.Forward(Inputs!.Deliver(batch, tower.ReadsTypes), pooling.Kinds[0], arena, TowerPass.Inference);
        beside();
        FinishTexts(rows, batch, destination, project, normalize, pooling, unpooledTokens);
    }

    private void FinishTexts(Tensor rows, TokenBatch batch, Span<float> destination, bool project, bool normalize, PoolingModes modes, int unpooledTokens)
    {
        TensorArena arena = _arena!;
        rows = modes.Kinds.Length > 1 || (unpooledTokens > 0 && BehindPrompt.Matters(modes.Kinds[0])) ? PoolAgain(modes, batch, unpooledTokens, arena) : rows;
        if (project && TextDense.Count > 0)
        {
            FinishDense(rows, normalize, destination);
        }
        else
        {
            Finish(rows, project ? TextHead : null, normalize, destination);
        }
    }

    /// <summary>The vectors of a batch of pictures, on the host.</summary>
    /// <param name="pixels">(B, 3, H, W) row-major, normalised.</param>
    /// <param name="count">B, at least 1.</param>
    /// <param name="height">H.</param>
    /// <param name="width">W.</param>
    /// <param name="destination">(B, width of a vector), overwritten.</param>
    /// <param name="project">Whether the head is applied where there is one.</param>
    /// <param name="normalize">Whether rows are divided by their Euclidean norm.</param>
    /// <param name="pooling">How rows become vectors; null: as the model's options say.</param>
    /// <exception cref="ArgumentException">The pixels or <paramref name="destination"/> have another length.</exception>
    /// <exception cref="InvalidOperationException">There is no image tower.</exception>
    public void EmbedImages(
        ReadOnlySpan<float> pixels, int count, int height, int width, Span<float> destination, bool project = true, bool normalize = true, PoolingKind? pooling = null)
    {
        ImageTower tower = RequireImage();
        TensorArena arena = Arena();
        Tensor uploaded = arena.Take(DType.Float32, new Shape(count, 3, height, width));
        uploaded.CopyFrom(pixels);
        Tensor rows = tower.Forward(uploaded, pooling ?? Options.ImagePooling, arena, TowerPass.Inference);
        Finish(rows, project ? ImageHead : null, normalize, destination);
    }

    /// <summary>The vectors of a batch of pictures that is delivered by <see cref="Inputs"/>; the same bits.</summary>
    /// <param name="pixels">The pictures one behind the other, normalised.</param>
    /// <param name="shape">(B, 3, H, W).</param>
    /// <param name="destination">As for the other.</param>
    /// <param name="project">As for the other.</param>
    /// <param name="normalize">As for the other.</param>
    /// <param name="pooling">As for the other.</param>
    /// <param name="beside">Called when the tower's work is issued and before it is waited for.</param>
    internal void EmbedImages(float[] pixels, Shape shape, Span<float> destination, bool project, bool normalize, PoolingKind pooling, Action beside)
    {
        ImageTower tower = RequireImage();
        TensorArena arena = Arena();
        Tensor rows = tower.Forward(Inputs!.Deliver(pixels, shape, tower), pooling, arena, TowerPass.Inference);
        beside();
        Finish(rows, project ? ImageHead : null, normalize, destination);
    }

    /// <summary>Gives the model's memory back; the device stays unless <see cref="Load(string, Device?)"/> made it.</summary>
    public void Dispose()
    {
        _inputs?.Dispose();
        _inputs = null;
        _arena?.Dispose();
        _arena = null;
        Image?.Dispose();
        Parameters.Dispose();
        _ownedDevice?.Dispose();
        _ownedDevice = null;
    }

    private TensorArena Arena()
    {
        _arena ??= new TensorArena(Device, FirstArenaByteCount);
        _arena.Reset();
        return _arena;
    }

    // What the tower's own pooling does not do: several in a row, or without a prompt.
    private Tensor PoolAgain(PoolingModes modes, TokenBatch batch, int unpooledTokens, TensorArena arena)
    {
        int width = Text!.Config.Width;
        int all = width * modes.Kinds.Length;
        float[] vectors = new float[batch.Count * all];
        for (int mode = 0; mode < modes.Kinds.Length; mode++)
        {
            float[] part = BehindPrompt.Pool(modes.Kinds[mode], Text.LastHidden, batch, unpooledTokens, arena);
            for (int text = 0; text < batch.Count; text++)
            {
                part.AsSpan(text * width, width).CopyTo(vectors.AsSpan((text * all) + (mode * width)));
            }
        }

        Tensor rows = arena.Take(DType.Float32, new Shape(batch.Count, all));
        rows.CopyFrom<float>(vectors);
        return rows;
    }

    private void Finish(in Tensor pooled, Projection? head, bool normalize, Span<float> destination)
    {
        TensorArena arena = _arena!;
        Tensor rows = head is null ? pooled : head.Forward(pooled, arena);
        if (normalize)
        {
            Tensor unit = arena.Take(DType.Float32, rows.Shape);
            L2Norm.Forward(rows, unit, arena.Take(DType.Float32, new Shape(rows.Shape[0])));
            rows = unit;
        }

        Device.CopyToHost(rows, System.Runtime.InteropServices.MemoryMarshal.AsBytes(destination));
    }

    private void FinishDense(in Tensor pooled, bool normalize, Span<float> destination)
    {
        float[] rows = pooled.ToArray<float>();
        foreach (DenseModule dense in TextDense)
        {
            rows = dense.Apply(rows);
        }

        int width = TextDense[^1].OutputWidth;
        for (int at = 0; normalize && at < rows.Length; at += width)
        {
            Span<float> row = rows.AsSpan(at, width);
            double squares = 0;
            foreach (float value in row)
            {
                squares += (double)value * value;
            }

            float norm = MathF.Max((float)Math.Sqrt(squares), float.Epsilon);
            foreach (ref float value in row)
            {
                value /= norm;
            }
        }

        rows.CopyTo(destination);
    }

    private TextTower RequireText() => Text ?? throw new InvalidOperationException("The model has no text tower.");

    private ImageTower RequireImage() => Image ?? throw new InvalidOperationException("The model has no image tower.");
}
