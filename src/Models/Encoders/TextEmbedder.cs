using CrossAlign.Kernels;
using CrossAlign.Models.Checkpoints;
using CrossAlign.Models.Experiments;
using CrossAlign.Models.Tokenization;
using CrossAlign.Runtime;
using Microsoft.Extensions.AI;

namespace CrossAlign.Models.Encoders;

/// <summary>
/// Texts to vectors: tokenizer, tower, pooling, head. Texts are sorted by length and go through the tower in batches of about equal
/// token counts; a text's vector does not depend on the others to the bit. Calls from several threads wait for each other.
/// </summary>
/// <example>
/// <code>
/// using TextEmbedder embedder = TextEmbedder.Load("multilingual-e5-small", new TextEmbedderOptions { Prefix = "query: " });
/// float[][] vectors = embedder.Embed(["a dog", "allqu"]);
/// </code>
/// </example>
public sealed class TextEmbedder : IEmbeddingGenerator<string, Embedding<float>>
{
    private readonly TwoTowerModel _model;
    private readonly bool _ownsModel;
    private readonly ITokenizer _tokenizer;
    private readonly Func<string, string> _prepare;
    private readonly TokenEmbedder _embedder;
    private readonly int _maxTokens;
    private readonly EmbeddingGeneratorMetadata _metadata;

    /// <summary>An embedder over a model that is loaded already.</summary>
    /// <param name="model">A model with a text tower; owned by the embedder from now on.</param>
    /// <param name="tokenizer">The tokenizer that belongs to it.</param>
    /// <param name="settings">What the model's folder declares.</param>
    /// <param name="options">What deviates from that.</param>
    /// <exception cref="UserErrorException">The model has no text tower, its vocabulary is smaller than the tokenizer's, or there is no prompt of that name.</exception>
    public TextEmbedder(TwoTowerModel model, ITokenizer tokenizer, SentenceTransformersSettings settings, TextEmbedderOptions? options = null)
        : this(model, ownsModel: true, tokenizer, settings, static text => text, null, options ?? new TextEmbedderOptions(), null)
    {
    }

    private TextEmbedder(
        TwoTowerModel model,
        bool ownsModel,
        ITokenizer tokenizer,
        SentenceTransformersSettings settings,
        Func<string, string> prepare,
        int? maxTokens,
        TextEmbedderOptions options,
        string? name)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(tokenizer);
        ArgumentNullException.ThrowIfNull(settings);
        ArgumentOutOfRangeException.ThrowIfLessThan(options.BatchTokens, 1, nameof(options));
        TextTower text = model.Text ?? throw new UserErrorException("the model has no text tower", "name the folder of a text tower or of a two-tower model");
        if (tokenizer.VocabularySize > text.Config.VocabularySize)
        {
            throw new UserErrorException(
                FormattableString.Invariant($"the tokenizer has {tokenizer.VocabularySize} pieces, the tower rows for {text.Config.VocabularySize}"),
                "take the tokenizer that belongs to the checkpoint");
        }

        _model = model;
        _ownsModel = ownsModel;
        _tokenizer = tokenizer;
        _prepare = prepare;
        _maxTokens = Math.Min(text.Packing.MaxTokens, Math.Min(settings.MaxTokens ?? int.MaxValue, maxTokens ?? int.MaxValue));
        Pooling = options.Pooling ?? model.Options.TextPooling;
        _embedder = new TokenEmbedder(model, Pooling, options.Normalize ?? settings.Normalize ?? true, options.Project, options.BatchTokens);
        Prefix = options.Prefix ?? PromptOf(settings, options.PromptName);
        _metadata = new EmbeddingGeneratorMetadata("CrossAlign", null, name, Width);
    }

    /// <summary>How a text's rows become its vector.</summary>
    public PoolingKind Pooling { get; }

    /// <summary>What is put before every text.</summary>
    public string Prefix { get; }

    /// <summary>The length of a vector.</summary>
    public int Width => _embedder.Width;

    /// <summary>How many texts so far were longer than the model's limit and have been cut.</summary>
    public long TruncatedCount { get; private set; }

    /// <summary>Loads a model with its tokenizer: a published checkpoint, an exported folder, a run, or a checkpoint of one.</summary>
    /// <param name="folder">The folder.</param>
    /// <param name="options">What deviates from what the folder declares.</param>
    /// <param name="device">Where the model is to lie; null: the processor, with all its threads.</param>
    /// <returns>The embedder, owned by the caller.</returns>
    /// <exception cref="UserErrorException">The folder holds no text model that is known here, or lacks its tokenizer; the message names what is wrong.</exception>
    public static TextEmbedder Load(string folder, TextEmbedderOptions? options = null, Device? device = null)
    {
        TwoTowerModel model = TwoTowerModel.Load(folder, device);
        try
        {
            return Over(model, ownsModel: true, options);
        }
        catch
        {
            model.Dispose();
            throw;
        }
    }

    /// <summary>The vectors of texts.</summary>
    /// <param name="texts">The texts; none are allowed.</param>
    /// <param name="cancellationToken">Looked at between batches.</param>
    /// <returns>A vector a text, in the order of the texts.</returns>
    /// <exception cref="OperationCanceledException">The call was cancelled.</exception>
    /// <exception cref="ObjectDisposedException">The embedder was disposed.</exception>
    public float[][] Embed(IEnumerable<string> texts, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(texts);
        List<TokenRow> rows = [];
        List<int> ids = [];
        foreach (string text in texts)
        {
            ids.Clear();
            bool cut = _tokenizer.Encode(Prefix + _prepare(text), ids, _maxTokens);
            rows.Add(new TokenRow([.. ids], [], cut));
        }

        float[] packed = new float[rows.Count * Width];
        lock (_model.Gate)
        {
            TruncatedCount += rows.Count(r => r.Truncated);
            _embedder.Embed(rows, packed, cancellationToken: cancellationToken);
        }

        float[][] vectors = new float[rows.Count][];
        for (int i = 0; i < vectors.Length; i++)
        {
            vectors[i] = packed.AsSpan(i * Width, Width).ToArray();
        }

        return vectors;
    }

    /// <inheritdoc/>
    public Task<GeneratedEmbeddings<Embedding<float>>> GenerateAsync(
        IEnumerable<string> values, EmbeddingGenerationOptions? options = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(values);
        if (options?.Dimensions is int wanted && wanted != Width)
        {
            throw new UserErrorException(
                FormattableString.Invariant($"the model gives vectors of {Width} numbers, not of {wanted}"), "leave out the dimensions");
        }

        return Task.Run(
            () => new GeneratedEmbeddings<Embedding<float>>(
                Embed(values, cancellationToken).Select(v => new Embedding<float>(v) { ModelId = _metadata.DefaultModelId })),
            cancellationToken);
    }

    /// <inheritdoc/>
    public object? GetService(Type serviceType, object? serviceKey = null)
    {
        ArgumentNullException.ThrowIfNull(serviceType);
        return serviceKey is not null ? null
            : serviceType == typeof(EmbeddingGeneratorMetadata) ? _metadata
            : serviceType.IsInstanceOfType(this) ? this
            : null;
    }

    /// <summary>Gives the model's memory back, where the embedder owns it.</summary>
    public void Dispose()
    {
        if (_ownsModel)
        {
            lock (_model.Gate)
            {
                _model.Dispose();
            }
        }
    }

    /// <summary>An embedder over a model that knows its folder.</summary>
    /// <param name="model">A model that <see cref="TwoTowerModel.Load(string, Device?)"/> gave.</param>
    /// <param name="ownsModel">Whether the model goes with the embedder.</param>
    /// <param name="options">What deviates from what the folder declares.</param>
    internal static TextEmbedder Over(TwoTowerModel model, bool ownsModel, TextEmbedderOptions? options)
    {
        ModelSource source = model.Source;
        return new TextEmbedder(
            model, ownsModel, source.LoadTokenizer(), source.ReadSettings(), source.Prepare, source.MaxTokens, options ?? new TextEmbedderOptions(), source.Name);
    }

    private static string PromptOf(SentenceTransformersSettings settings, string? name) => name is null ? settings.DefaultPrompt
        : settings.Prompts.TryGetValue(name, out string? text) ? text
        : throw new UserErrorException(
            $"the model declares no prompt '{name}'", settings.Prompts.Count == 0 ? "give the prefix itself" : $"known ones: {string.Join(", ", settings.Prompts.Keys)}");
}
