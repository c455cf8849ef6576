using System.Globalization;
using CrossAlign.Kernels;
using CrossAlign.Runtime;

namespace CrossAlign.Models.Encoders;

/// <summary>
/// An image tower over patches: HF's ViT (class token, pre-LN, last LayerNorm on all tokens) or CLIP's vision tower (LayerNorm
/// before the blocks, last LayerNorm on the pooled row). Pictures of another size than the tower's get interpolated positions.
/// </summary>
public sealed class ImageTower : EncoderTower, IDisposable
{
    // Far above the sites of any text tower.
    private const uint FirstDropoutSite = 1 << 20;

    private readonly PatchTables _tables;
    private readonly PositionInterpolation _interpolation;
    private int[] _starts = [0];
    private int[] _keys = [];

    // Of the last forward pass.
    private Tensor _pixels;
    private int _gridRows;
    private int _gridColumns;

    /// <summary>Adds a tower's parameters to a store; their values are zero until they are loaded or initialised.</summary>
    /// <param name="config">The sizes.</param>
    /// <param name="store">Where the parameters are kept.</param>
    /// <param name="namePrefix">What stands before the published names in the store.</param>
    public ImageTower(ImageEncoderConfig config, ParameterStore store, string namePrefix = "")
        : this(config, store, new ParameterScope(ParameterGroup.ImageTower, namePrefix), new PatchTables())
    {
    }

    private ImageTower(ImageEncoderConfig config, ParameterStore store, ParameterScope scope, PatchTables tables)
        : base(config, LayoutOf(config), store, scope, () => tables.AddTo(config, store, scope))
    {
        _tables = tables;
        Config = config;
        _interpolation = new PositionInterpolation(store.Device, config.GridSize);
    }

    /// <summary>The sizes.</summary>
    public new ImageEncoderConfig Config { get; }

    /// <summary>The pooling that the published architecture itself uses: the class token's row.</summary>
    public static PoolingKind DefaultPooling => PoolingKind.Cls;

    /// <summary>The position embeddings as the last pass used them: (1 + rows * columns, C).</summary>
    public Tensor UsedPositions { get; private set; }

    /// <summary>Encodes a batch of pictures.</summary>
    /// <param name="pixels">(B, 3, H, W), float32, normalised; H and W at least one patch, a remainder below one is cut off; kept by reference for the backward pass.</param>
    /// <param name="pooling">How a picture's rows, class token first, become its vector.</param>
    /// <param name="arena">Where activations are taken; on the tower's device.</param>
    /// <param name="pass">What the pass is for.</param>
    /// <param name="examples">Numbers that name the pictures in the data set, read only with dropout; empty: their places in the batch.</param>
    /// <returns>(B, C), float32, valid until the arena is reset.</returns>
    /// <exception cref="ArgumentException">The shape is another, or the pictures are smaller than a patch.</exception>
    public Tensor Forward(in Tensor pixels, PoolingKind pooling, TensorArena arena, in TowerPass pass, ReadOnlySpan<int> examples = default)
    {
        ArgumentNullException.ThrowIfNull(arena);
        int patch = Config.PatchSize;
        if (!pixels.IsPresent || pixels.Shape.Rank != 4 || pixels.Shape[1] != 3 || pixels.Shape[2] < patch || pixels.Shape[3] < patch || pixels.Shape[0] == 0)
        {
            throw new ArgumentException(
                string.Create(CultureInfo.InvariantCulture, $"pixels is {pixels}; it must be Float32 (B, 3, H, W) with B at least 1, H and W at least {patch}."), nameof(pixels));
        }

        int count = pixels.Shape[0];
        int tokens = RowsOf(pixels.Shape[2], pixels.Shape[3]);
        Tensor starts = arena.Take(DType.Int32, new Shape(count + 1));
        starts.CopyFrom(StartsOf(tokens, count));
        Tensor keys = default;
        if (pass.Dropout)
        {
            keys = arena.Take(DType.Int32, new Shape(count * tokens, 2));
            keys.CopyFrom(KeysOf(count, tokens, examples));
        }

        return Forward(new PictureInputs(pixels, starts, keys), pooling, arena, pass);
    }

    /// <summary>Encodes a batch of pictures that lies on the device; nothing is copied from the host, but for the table of a size that is seen for the first time.</summary>
    /// <param name="inputs">At least one picture, as large as a patch; kept by reference for the backward pass.</param>
    /// <param name="pooling">How a picture's rows, class token first, become its vector.</param>
    /// <param name="arena">Where activations are taken; on the tower's device.</param>
    /// <param name="pass">What the pass is for.</param>
    /// <returns>(B, C), float32, valid until the arena is reset.</returns>
    /// <exception cref="ArgumentException">A tensor is absent, has another shape or type, or lies on another device.</exception>
    public Tensor Forward(in PictureInputs inputs, PoolingKind pooling, TensorArena arena, in TowerPass pass)
    {
        ArgumentNullException.ThrowIfNull(arena);
        Tensor pixels = inputs.Pixels;
        _pixels = CropToPatches(pixels, arena);
        _gridRows = pixels.Shape[2] / Config.PatchSize;
        _gridColumns = pixels.Shape[3] / Config.PatchSize;
        UsedPositions = _interpolation.Positions(_tables.Position.Value, _gridRows, _gridColumns, arena);
        Tensor embedded = arena.Take(ActivationType, new Shape(pixels.Shape[0] * RowsOf(pixels.Shape[2], pixels.Shape[3]), Config.Width), inputs.Rows);
        PatchEmbedding.Forward(
            _pixels, _tables.Patch.Value, _tables.PatchBias.Value, _tables.ClassToken.Value, UsedPositions, embedded, Config.PatchSize);
        return Encode(embedded, new PackedRows(inputs.CuSeqlens, pass.Dropout ? inputs.TokenKeys : default, pass, pixels.LiveRows), pooling, arena);
    }

    /// <summary>The rows that a picture becomes: its patches and the class token.</summary>
    /// <param name="height">H, at least one patch.</param>
    /// <param name="width">W, at least one patch.</param>
    public int RowsOf(int height, int width) => 1 + (height / Config.PatchSize * (width / Config.PatchSize));

    /// <summary>What <see cref="PictureInputs.CuSeqlens"/> hold.</summary>
    /// <param name="tokens">Rows of a picture.</param>
    /// <param name="pictures">B.</param>
    /// <param name="count">How many of the B pictures there are; those behind them have no rows.</param>
    /// <returns>(B + 1), valid until the next call.</returns>
    internal ReadOnlySpan<int> StartsOf(int tokens, int pictures, int count = int.MaxValue)
    {
        int length = pictures + 1;
        if (_starts.Length < length)
        {
            _starts = new int[length];
        }

        for (int i = 0; i < length; i++)
        {
            _starts[i] = Math.Min(i, count) * tokens;
        }

        return _starts.AsSpan(0, length);
    }

    /// <summary>What <see cref="PictureInputs.TokenKeys"/> hold.</summary>
    /// <param name="count">B.</param>
    /// <param name="tokens">Rows of a picture.</param>
    /// <param name="examples">Numbers that name the pictures in the data set; empty: their places in the batch.</param>
    /// <returns>(B * rows, 2), valid until the next call.</returns>
    internal ReadOnlySpan<int> KeysOf(int count, int tokens, ReadOnlySpan<int> examples)
    {
        int length = 2 * count * tokens;
        if (_keys.Length < length)
        {
            _keys = new int[length];
        }

        for (int row = 0; row < count * tokens; row++)
        {
            int picture = row / tokens;
            _keys[2 * row] = examples.IsEmpty ? picture : examples[picture];
            _keys[(2 * row) + 1] = row % tokens;
        }

        return _keys.AsSpan(0, length);
    }

    /// <summary>The gradients of the last <see cref="Forward(in Tensor, PoolingKind, TensorArena, in TowerPass, ReadOnlySpan{int})"/>: added (+=) to the parameters' that are not frozen.</summary>
    /// <param name="dPooled">(B, C), float32.</param>
    /// <param name="arena">Where working tensors are taken.</param>
    /// <exception cref="InvalidOperationException">The forward pass kept no activations.</exception>
    public void Backward(in Tensor dPooled, TensorArena arena)
    {
        ArgumentNullException.ThrowIfNull(arena);
        Tensor dEmbedded = BackwardToEmbeddings(dPooled, arena);
        if (!dEmbedded.IsPresent)
        {
            return;
        }

        Tensor dPositions = _interpolation.GradientTarget(_tables.Position.Gradient, _gridRows, _gridColumns, arena);
        PatchEmbedding.Backward(
            dEmbedded, _pixels, _tables.Patch.Gradient, _tables.PatchBias.Gradient, _tables.ClassToken.Gradient, dPositions, Config.PatchSize);
        _interpolation.Backward(dPositions, _tables.Position.Gradient, _gridRows, _gridColumns);
    }

    /// <summary>Gives back the interpolation's tables; the parameters belong to the store.</summary>
    public void Dispose() => _interpolation.Dispose();

    private static TowerLayout LayoutOf(ImageEncoderConfig config) => config.IsClip
        ? new TowerLayout("vision_model.pre_layrnorm", "vision_model.post_layernorm", NormAfterPooling: true, FirstDropoutSite: FirstDropoutSite)
        : new TowerLayout(null, "layernorm", HasQueryKeyValueBias: config.HasQueryKeyValueBias, FirstDropoutSite: FirstDropoutSite);

    private Tensor CropToPatches(in Tensor pixels, TensorArena arena)
    {
        int height = pixels.Shape[2];
        int width = pixels.Shape[3];
        int keptHeight = height - (height % Config.PatchSize);
        int keptWidth = width - (width % Config.PatchSize);
        if (keptHeight == height && keptWidth == width)
        {
            return pixels;
        }

        int planes = pixels.Shape[0] * pixels.Shape[1];
        Tensor cropped = arena.Take(DType.Float32, new Shape(pixels.Shape[0], pixels.Shape[1], keptHeight, keptWidth), pixels.LiveRows);
        for (int line = 0; line < planes * keptHeight; line++)
        {
            long from = ((((long)(line / keptHeight) * height) + (line % keptHeight)) * width * sizeof(float)) + pixels.ByteOffset;
            long to = ((long)line * keptWidth * sizeof(float)) + cropped.ByteOffset;
            pixels.Device.Copy(
                new Tensor(pixels.Memory, from, DType.Float32, new Shape(keptWidth)), new Tensor(cropped.Memory, to, DType.Float32, new Shape(keptWidth)));
        }

        return cropped;
    }

    private sealed class PatchTables
    {
        public ParameterTensor Patch { get; private set; } = ParameterTensor.Absent;

        public ParameterTensor PatchBias { get; private set; } = ParameterTensor.Absent;

        public ParameterTensor ClassToken { get; private set; } = ParameterTensor.Absent;

        public ParameterTensor Position { get; private set; } = ParameterTensor.Absent;

        public void AddTo(ImageEncoderConfig config, ParameterStore store, ParameterScope scope)
        {
            int c = config.Width;
            int p = config.PatchSize;
            int inputs = 3 * p * p;
            int positions = 1 + (config.GridSize * config.GridSize);
            Shape patchShape = new(c, 3, p, p);
            Shape viewed = new(c, inputs);
            if (config.IsClip)
            {
                ClassToken = store.Add(scope, "vision_model.embeddings.class_embedding", ParameterKind.ClassToken, new Shape(c));
                Patch = store.Add(scope, "vision_model.embeddings.patch_embedding.weight", ParameterKind.PatchWeight, patchShape, inputs, viewed);
                Position = store.Add(scope, "vision_model.embeddings.position_embedding.weight", ParameterKind.PositionEmbedding, new Shape(positions, c));
            }
            else
            {
                ClassToken = store.Add(scope, "embeddings.cls_token", ParameterKind.ClassToken, new Shape(1, 1, c), 0, new Shape(c));
                Position = store.Add(scope, "embeddings.position_embeddings", ParameterKind.PositionEmbedding, new Shape(1, positions, c), 0, new Shape(positions, c));
                Patch = store.Add(scope, "embeddings.patch_embeddings.projection.weight", ParameterKind.PatchWeight, patchShape, inputs, viewed);
                PatchBias = store.Add(scope, "embeddings.patch_embeddings.projection.bias", ParameterKind.LinearBias, new Shape(c), inputs);
            }
        }
    }
}
