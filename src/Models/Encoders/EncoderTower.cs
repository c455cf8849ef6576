using CrossAlign.Kernels;
using CrossAlign.Runtime;

namespace CrossAlign.Models.Encoders;

/// <summary>
/// What text and image towers have in common behind their embeddings: an optional LayerNorm, the blocks, an optional last
/// LayerNorm, pooling. A tower remembers its last forward pass; the backward pass belongs to that one, and its tensors live until
/// the arena is reset.
/// </summary>
public abstract class EncoderTower
{
    private readonly EncoderStack _stack;
    private readonly NormParameters? _embeddingNorm;
    private readonly NormParameters? _finalNorm;
    private readonly bool _normAfterPooling;
    private readonly uint _firstDropoutSite;
    private TowerFreeze _freeze = TowerFreeze.None;
    private DType _activationType = DType.Float32;

    // Of the last forward pass.
    private Tensor _embedded;
    private Tensor _embeddingMean;
    private Tensor _embeddingRstd;
    private Tensor _toFinalNorm;
    private Tensor _finalMean;
    private Tensor _finalRstd;
    private PackedRows _rows;
    private PoolingKind _pooling;
    private Tensor _chosen;

    private protected EncoderTower(EncoderConfig config, TowerLayout layout, ParameterStore store, ParameterScope scope, Action addEmbeddings)
    {
        Config = config;
        Parameters = store;
        Scope = scope;
        int first = store.Parameters.Count;
        addEmbeddings();
        _embeddingNorm = layout.EmbeddingNorm is string embedding ? new NormParameters(store, scope, embedding, config.Width) : null;
        EmbeddingParameterCount = store.Parameters.Count - first;
        _stack = new EncoderStack(config, layout, store, scope);
        _finalNorm = layout.FinalNorm is string final ? new NormParameters(store, scope, final, config.Width) : null;
        _normAfterPooling = layout.NormAfterPooling;
        _firstDropoutSite = layout.FirstDropoutSite;
        if (config.HasPooler)
        {
            int c = config.Width;
            store.Add(scope, "pooler.dense.weight", ParameterKind.Carried, new Shape(c, c), c);
            store.Add(scope, "pooler.dense.bias", ParameterKind.Carried, new Shape(c), c);
        }

        FirstParameter = first;
        ParameterCount = store.Parameters.Count - first;
    }

    /// <summary>The sizes.</summary>
    public EncoderConfig Config { get; }

    /// <summary>The store that keeps the tower's parameters.</summary>
    public ParameterStore Parameters { get; }

    /// <summary>The tower's own parameters, in order, carried ones included.</summary>
    public IEnumerable<Parameter> OwnParameters => Parameters.Parameters.Skip(FirstParameter).Take(ParameterCount);

    /// <summary>What stands before the published names in the store.</summary>
    public string NamePrefix => Scope.Prefix;

    /// <summary>How much of the tower training leaves alone. Setting it freezes and thaws parameters at once.</summary>
    public TowerFreeze Freeze
    {
        get => _freeze;
        set
        {
            _freeze = value;
            ApplyFreeze();
        }
    }

    /// <summary>
    /// How the tower stores what it computes on its way to the pooling, and the gradients on the way back: float32, or bfloat16 for half the memory
    /// and half the traffic (the residual stream too). Sums and statistics are float32 either way, and so are parameters, their gradients and pooled
    /// rows. Of the passes that begin after it is set.
    /// </summary>
    /// <exception cref="ArgumentOutOfRangeException">It is neither float32 nor bfloat16.</exception>
    public DType ActivationType
    {
        get => _activationType;
        set => _activationType = value is DType.Float32 or DType.BFloat16
            ? value
            : throw new ArgumentOutOfRangeException(nameof(value), value, "Activations are float32 or bfloat16.");
    }

    /// <summary>What entered block <paramref name="index"/> in the last pass, or what the last block returned.</summary>
    /// <param name="index">0 to the number of blocks; the published framework's <c>hidden_states[index]</c>.</param>
    /// <returns>(N, C) of <see cref="ActivationType"/>, valid until the arena is reset; absent where the pass did not keep it.</returns>
    public Tensor HiddenState(int index) => _stack.Hidden(index);

    /// <summary>The last pass's rows behind the last LayerNorm where the tower has one, else behind the last block; absent where that LayerNorm acts on pooled rows only (CLIP).</summary>
    public Tensor LastHidden { get; private set; }

    private protected ParameterScope Scope { get; }

    private protected int EmbeddingParameterCount { get; }

    private protected int FirstParameter { get; }

    private protected int ParameterCount { get; }

    /// <summary>Whether a backward pass has to go below the blocks.</summary>
    private protected bool EmbeddingsAreTrained => _freeze.LowestBlocks == 0;

    /// <summary>Runs what lies behind the embeddings.</summary>
    /// <param name="embedded">(N, C), of <see cref="ActivationType"/>: the sum of embeddings; may be overwritten.</param>
    /// <param name="rows">How the rows hang together.</param>
    /// <param name="pooling">How rows become vectors.</param>
    /// <param name="arena">Where activations are taken.</param>
    /// <returns>(S, C), float32.</returns>
    private protected Tensor Encode(in Tensor embedded, in PackedRows rows, PoolingKind pooling, TensorArena arena)
    {
        _rows = rows;
        _pooling = pooling;
        _embedded = embedded;
        Tensor input = NormEmbedded(embedded, arena);
        if (rows.Pass.Dropout && Config.HiddenDropout > 0)
        {
            Dropout.Forward(input, input, EmbeddingSite(rows));
        }

        return Pool(_stack.Forward(input, rows, arena, FrozenBlocks), rows, pooling, arena);
    }

    /// <summary>Runs the lowest blocks, for what stands above them; nothing is kept for a backward pass.</summary>
    /// <param name="blocks">How many.</param>
    /// <param name="embedded">(N, C): the sum of embeddings.</param>
    /// <param name="rows">How the rows hang together; an inference pass.</param>
    /// <param name="arena">Where activations are taken.</param>
    /// <returns>(N, C): what enters the next block.</returns>
    private protected Tensor EncodeLower(int blocks, in Tensor embedded, in PackedRows rows, TensorArena arena) =>
        _stack.Forward(NormEmbedded(embedded, arena), rows, arena, blocks, 0, blocks);

    /// <summary>Runs the other blocks and what follows, with the bits that <see cref="Encode"/> would give without dropout.</summary>
    /// <param name="blocks">How many of the lowest blocks have been run; they are frozen.</param>
    /// <param name="hidden">(N, C): what <see cref="EncodeLower"/> gave for these rows.</param>
    /// <param name="rows">How the rows hang together.</param>
    /// <param name="pooling">How rows become vectors.</param>
    /// <param name="arena">Where activations are taken.</param>
    /// <returns>(S, C).</returns>
    private protected Tensor EncodeUpper(int blocks, in Tensor hidden, in PackedRows rows, PoolingKind pooling, TensorArena arena)
    {
        _rows = rows;
        _pooling = pooling;
        _embedded = hidden;
        return Pool(_stack.Forward(hidden, rows, arena, FrozenBlocks, blocks, Config.Layers), rows, pooling, arena);
    }

    private Tensor NormEmbedded(in Tensor embedded, TensorArena arena)
    {
        if (_embeddingNorm is null)
        {
            return embedded;
        }

        Tensor input = arena.Take(embedded.DType, embedded.Shape, embedded.LiveRows);
        _embeddingMean = arena.Take(DType.Float32, new Shape(embedded.Shape[0]));
        _embeddingRstd = arena.Take(DType.Float32, new Shape(embedded.Shape[0]));
        LayerNorm.Forward(
            embedded, _embeddingNorm.Weight.Value, _embeddingNorm.Bias.Value, input, _embeddingMean, _embeddingRstd, Config.NormEpsilon);
        return input;
    }

    private Tensor Pool(in Tensor last, in PackedRows rows, PoolingKind pooling, TensorArena arena)
    {
        // float32 from here on, however the rows are stored: it is one row a sequence, and what the loss compares.
        Shape shape = new(rows.CuSeqlens.Shape[0] - 1, Config.Width);
        Tensor pooled = arena.Take(DType.Float32, shape, rows.Sequences);
        _chosen = pooling == PoolingKind.Max && rows.Pass.KeepActivations ? arena.Take(DType.Int32, shape, rows.Sequences) : default;
        if (_finalNorm is null)
        {
            LastHidden = last;
            Pooling.Forward(pooling, last, rows.CuSeqlens, pooled, _chosen);
        }
        else if (_normAfterPooling)
        {
            LastHidden = default;
            Pooling.Forward(pooling, last, rows.CuSeqlens, pooled, _chosen);
            pooled = NormFinally(pooled, arena);
        }
        else
        {
            LastHidden = NormFinally(last, arena);
            Pooling.Forward(pooling, LastHidden, rows.CuSeqlens, pooled, _chosen);
        }

        return pooled;
    }

    /// <summary>The gradients of the last <see cref="Encode"/>, down to the embeddings' sum.</summary>
    /// <param name="dPooled">(S, C), float32.</param>
    /// <param name="arena">Where working tensors are taken.</param>
    /// <returns>(N, C), stored as the embeddings' sum: the gradient of the embeddings' sum; absent where the embeddings are frozen.</returns>
    private protected Tensor BackwardToEmbeddings(in Tensor dPooled, TensorArena arena)
    {
        if (!_rows.Pass.KeepActivations)
        {
            throw new InvalidOperationException("The forward pass kept no activations: run it with TowerPass.Training.");
        }

        if (_freeze.LowestBlocks == int.MaxValue)
        {
            return default;
        }

        Tensor dX = arena.Take(_embedded.DType, _embedded.Shape, _embedded.LiveRows);
        if (_finalNorm is not null && _normAfterPooling)
        {
            Tensor dNormed = arena.Take(dPooled.DType, dPooled.Shape, dPooled.LiveRows);
            BackwardFinally(dPooled, dNormed);
            Pooling.Backward(_pooling, dNormed, _rows.CuSeqlens, dX, _chosen);
        }
        else
        {
            Pooling.Backward(_pooling, dPooled, _rows.CuSeqlens, dX, _chosen);
            if (_finalNorm is not null)
            {
                BackwardFinally(dX, dX);
            }
        }

        _stack.Backward(dX, arena);
        if (!EmbeddingsAreTrained)
        {
            return default;
        }

        if (_rows.Pass.Dropout && Config.HiddenDropout > 0)
        {
            Tensor kept = arena.Take(dX.DType, dX.Shape, dX.LiveRows);
            Dropout.Backward(dX, kept, EmbeddingSite(_rows));
            dX = kept;
        }

        if (_embeddingNorm is not null)
        {
            LayerNorm.Backward(
                dX, _embedded, _embeddingNorm.Weight.Value, _embeddingMean, _embeddingRstd, dX, _embeddingNorm.Weight.Gradient, _embeddingNorm.Bias.Gradient);
        }

        return dX;
    }

    private int FrozenBlocks => Math.Min(_freeze.LowestBlocks, Config.Layers);

    private DropoutSite EmbeddingSite(in PackedRows rows) => rows.Site(Config.HiddenDropout, _firstDropoutSite);

    private Tensor NormFinally(in Tensor input, TensorArena arena)
    {
        Tensor output = arena.Take(input.DType, input.Shape, input.LiveRows);
        _toFinalNorm = input;
        _finalMean = arena.Take(DType.Float32, new Shape(input.Shape[0]));
        _finalRstd = arena.Take(DType.Float32, new Shape(input.Shape[0]));
        LayerNorm.Forward(input, _finalNorm!.Weight.Value, _finalNorm.Bias.Value, output, _finalMean, _finalRstd, Config.NormEpsilon);
        return output;
    }

    private void BackwardFinally(in Tensor dOutput, in Tensor dInput) => LayerNorm.Backward(
        dOutput, _toFinalNorm, _finalNorm!.Weight.Value, _finalMean, _finalRstd, dInput, _finalNorm.Weight.Gradient, _finalNorm.Bias.Gradient);

    private void ApplyFreeze()
    {
        // Order of the parameters: embeddings, blocks of equal size, final LayerNorm, carried ones.
        int finalCount = _finalNorm is null ? 0 : 2;
        int index = 0;
        int carried = OwnParameters.Count(p => p.Kind == ParameterKind.Carried);
        int perBlock = (ParameterCount - carried - EmbeddingParameterCount - finalCount) / Config.Layers;
        foreach (Parameter parameter in OwnParameters)
        {
            int block = (index - EmbeddingParameterCount) / perBlock;
            bool frozen = index < EmbeddingParameterCount ? _freeze.LowestBlocks > 0
                : block < Config.Layers ? block < _freeze.LowestBlocks
                : _freeze.LowestBlocks == int.MaxValue;
            parameter.IsFrozen = frozen || parameter.Kind == ParameterKind.Carried;
            index++;
        }
    }
}
