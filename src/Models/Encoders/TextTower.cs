using CrossAlign.Kernels;
using CrossAlign.Runtime;

namespace CrossAlign.Models.Encoders;

/// <summary>
/// A text tower over packed tokens: XLM-R, RoBERTa, BERT, RoBERTa with pre-LN, or CLIP's causal text tower. The vector of a text
/// does not depend on the texts beside it.
/// </summary>
public sealed class TextTower : EncoderTower
{
    private readonly EmbeddingTables _tables;

    // Of the last forward pass.
    private TokenInputs _inputs;

    /// <summary>Adds a tower's parameters to a store; their values are zero until they are loaded or initialised.</summary>
    /// <param name="config">The sizes.</param>
    /// <param name="store">Where the parameters are kept.</param>
    /// <param name="namePrefix">What stands before the published names in the store.</param>
    public TextTower(TextEncoderConfig config, ParameterStore store, string namePrefix = "")
        : this(config, store, new ParameterScope(ParameterGroup.TextTower, namePrefix), new EmbeddingTables())
    {
    }

    private TextTower(TextEncoderConfig config, ParameterStore store, ParameterScope scope, EmbeddingTables tables)
        : base(config, LayoutOf(config), store, scope, () => tables.AddTo(config, store, scope))
    {
        _tables = tables;
        Config = config;
        Packing = TokenPacking.For(config);
    }

    /// <summary>The sizes.</summary>
    public new TextEncoderConfig Config { get; }

    /// <summary>How the ids of a text become rows: positions, truncation, the end of a text.</summary>
    public TokenPacking Packing { get; }

    /// <summary>The pooling that the published architecture itself uses: the end of the text for CLIP, else the mean.</summary>
    public PoolingKind DefaultPooling => Config.IsCausal ? PoolingKind.Eos : PoolingKind.Mean;

    /// <summary>The word embeddings' parameter.</summary>
    public Parameter WordEmbeddings => _tables.Word.Parts[0];

    /// <summary>Encodes a batch of texts.</summary>
    /// <param name="batch">At least one text.</param>
    /// <param name="pooling">How a text's rows become its vector.</param>
    /// <param name="arena">Where activations are taken; on the tower's device.</param>
    /// <param name="pass">What the pass is for.</param>
    /// <returns>(S, C), float32, valid until the arena is reset.</returns>
    /// <exception cref="ArgumentException">The batch is empty.</exception>
    /// <exception cref="ArgumentOutOfRangeException">An id or position lies outside its table.</exception>
    public Tensor Forward(TokenBatch batch, PoolingKind pooling, TensorArena arena, in TowerPass pass)
    {
        ArgumentNullException.ThrowIfNull(batch);
        ArgumentNullException.ThrowIfNull(arena);
        if (batch.Count == 0)
        {
            throw new ArgumentException("The batch is empty.", nameof(batch));
        }

        return Forward(TokenInputs.Upload(batch, arena, _tables.Type.IsPresent, pass.Dropout), pooling, arena, pass);
    }

    /// <summary>Whether token types are read.</summary>
    internal bool ReadsTypes => _tables.Type.IsPresent;

    /// <summary>Encodes a batch of texts that lies on the device; nothing is copied from the host.</summary>
    /// <param name="inputs">At least one text; kept by reference for the backward pass.</param>
    /// <param name="pooling">How a text's rows become its vector.</param>
    /// <param name="arena">Where activations are taken; on the tower's device.</param>
    /// <param name="pass">What the pass is for.</param>
    /// <returns>(S, C), float32, valid until the arena is reset.</returns>
    /// <exception cref="ArgumentException">A tensor is absent, has another shape or type, or lies on another device.</exception>
    public Tensor Forward(in TokenInputs inputs, PoolingKind pooling, TensorArena arena, in TowerPass pass)
    {
        ArgumentNullException.ThrowIfNull(arena);
        Tensor ids = inputs.Ids;
        _inputs = inputs;
        Tensor embedded = arena.Take(ActivationType, new Shape(ids.Shape[0], Config.Width), ids.LiveRows);
        Embedding.Forward(ids, inputs.Positions, inputs.Types, _tables.Word.Value, _tables.Position.Value, _tables.Type.Value, embedded);
        return Encode(embedded, new PackedRows(inputs.CuSeqlens, pass.Dropout ? inputs.TokenKeys : default, pass, inputs.Texts), pooling, arena);
    }

    /// <summary>Runs embeddings and the lowest blocks, without dropout. A text's rows do not depend on the texts beside it, so they can be kept.</summary>
    /// <param name="batch">At least one text.</param>
    /// <param name="blocks">How many blocks: 1 to all.</param>
    /// <param name="arena">Where activations are taken; on the tower's device.</param>
    /// <returns>(N, C): what enters the next block; valid until the arena is reset.</returns>
    internal Tensor ForwardLower(TokenBatch batch, int blocks, TensorArena arena)
    {
        TokenInputs inputs = TokenInputs.Upload(batch, arena, _tables.Type.IsPresent, hasDropout: false);
        Tensor embedded = arena.Take(ActivationType, new Shape(inputs.Ids.Shape[0], Config.Width));
        Embedding.Forward(inputs.Ids, inputs.Positions, inputs.Types, _tables.Word.Value, _tables.Position.Value, _tables.Type.Value, embedded);
        return EncodeLower(blocks, embedded, new PackedRows(inputs.CuSeqlens, default, TowerPass.Inference), arena);
    }

    /// <summary>Runs the other blocks and the pooling, without dropout; <see cref="Backward"/> belongs to it. The bits are those of a pass through the whole tower.</summary>
    /// <param name="batch">The texts.</param>
    /// <param name="blocks">How many of the lowest blocks have been run; they are frozen.</param>
    /// <param name="hidden">(N, C): what <see cref="ForwardLower"/> gives for these texts.</param>
    /// <param name="pooling">How a text's rows become its vector.</param>
    /// <param name="arena">Where activations are taken; on the tower's device.</param>
    /// <param name="pass">What the pass is for; its dropout is not looked at.</param>
    /// <returns>(S, C), float32, valid until the arena is reset.</returns>
    internal Tensor ForwardUpper(TokenBatch batch, int blocks, in Tensor hidden, PoolingKind pooling, TensorArena arena, in TowerPass pass)
    {
        _inputs = TokenInputs.Upload(batch, arena, _tables.Type.IsPresent, hasDropout: false);
        return EncodeUpper(blocks, hidden, new PackedRows(_inputs.CuSeqlens, default, pass with { Dropout = false }), pooling, arena);
    }

    /// <summary>The gradients of the last <see cref="Forward(TokenBatch, PoolingKind, TensorArena, in TowerPass)"/>: added (+=) to the parameters' that are not frozen.</summary>
    /// <param name="dPooled">(S, C), float32.</param>
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

        ParameterTensor word = _tables.Word;
        if (word.SparseGradient.IsPresent)
        {
            Embedding.BackwardSparse(dEmbedded, _inputs.Ids, Config.VocabularySize, word.SparseGradient);
        }

        Embedding.Backward(
            dEmbedded, _inputs.Ids, _inputs.Positions, _inputs.Types, word.Gradient, _tables.Position.Gradient, _tables.Type.Gradient);
    }

    private static TowerLayout LayoutOf(TextEncoderConfig config) => config.ModelType switch
    {
        "clip_text_model" => new TowerLayout(null, "text_model.final_layer_norm", NormAfterPooling: false, IsCausal: true),
        "roberta-prelayernorm" => new TowerLayout("embeddings.LayerNorm", "LayerNorm"),
        _ => new TowerLayout("embeddings.LayerNorm", null),
    };

    private sealed class EmbeddingTables
    {
        public ParameterTensor Word { get; private set; } = ParameterTensor.Absent;

        public ParameterTensor Position { get; private set; } = ParameterTensor.Absent;

        public ParameterTensor Type { get; private set; } = ParameterTensor.Absent;

        public void AddTo(TextEncoderConfig config, ParameterStore store, ParameterScope scope)
        {
            bool clip = config.IsCausal;
            int c = config.Width;
            string word = clip ? "text_model.embeddings.token_embedding.weight" : "embeddings.word_embeddings.weight";
            string position = clip ? "text_model.embeddings.position_embedding.weight" : "embeddings.position_embeddings.weight";
            Word = store.Add(scope, word, ParameterKind.WordEmbedding, new Shape(config.VocabularySize, c));
            Position = store.Add(scope, position, ParameterKind.PositionEmbedding, new Shape(config.Positions, c));
            if (config.TypeVocabularySize > 0)
            {
                Type = store.Add(scope, "embeddings.token_type_embeddings.weight", ParameterKind.TypeEmbedding, new Shape(config.TypeVocabularySize, c));
            }
        }
    }
}
