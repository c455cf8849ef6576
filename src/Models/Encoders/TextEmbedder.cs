using CrossAlign.Models.Checkpoints;
using CrossAlign.Models.Experiments;
using CrossAlign.Models.Tokenization;
using CrossAlign.Runtime;

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
public sealed class TextEmbedder : ModelEmbedder<string>
{
    private readonly TextPipeline _pipeline;
    private readonly TokenEmbedder _embedder;

    /// <summary>An embedder over a model that is loaded already.</summary>
    /// <param name="model">A model with a text tower; owned by the embedder from now on.</param>
    /// <param name="tokenizer">The tokenizer that belongs to it.</param>
    /// <param name="settings">What the model's folder declares.</param>
    /// <param name="options">What deviates from that.</param>
    /// <exception cref="UserErrorException">The model has no text tower, its vocabulary is smaller than the tokenizer's, or there is no prompt of that name.</exception>
    public TextEmbedder(TwoTowerModel model, ITokenizer tokenizer, SentenceTransformersSettings settings, TextEmbedderOptions? options = null)
        : this(
            model,
            ownsModel: true,
            settings,
            new TextPipeline(RequireTower(model), tokenizer, settings, options ?? new TextEmbedderOptions()),
            options ?? new TextEmbedderOptions(),
            null)
    {
    }

    private TextEmbedder(TwoTowerModel model, bool ownsModel, SentenceTransformersSettings settings, TextPipeline pipeline, TextEmbedderOptions options, string? name)
        : base(model, ownsModel, name)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(options.BatchTokens, 1, nameof(options));
        _pipeline = pipeline;
        Pooling = options.Pooling ?? model.Options.TextPooling;
        _embedder = new TokenEmbedder(model, Pooling, options.Normalize ?? settings.Normalize ?? true, options.Project, options.BatchTokens, pipeline.UnpooledTokens);
    }

    /// <summary>How a text's rows become its vector.</summary>
    public PoolingModes Pooling { get; }

    /// <summary>What is put before every text.</summary>
    public string Prefix => _pipeline.Prefix;

    /// <inheritdoc/>
    public override int Width => _embedder.Width;

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
        TokenRow[] rows = [.. texts.Select(_pipeline.Encode)];
        float[] packed = new float[rows.Length * Width];
        lock (Model.Gate)
        {
            TruncatedCount += rows.Count(r => r.Truncated);
            _embedder.Embed(rows, packed, cancellationToken: cancellationToken);
        }

        float[][] vectors = new float[rows.Length][];
        for (int i = 0; i < vectors.Length; i++)
        {
            vectors[i] = packed.AsSpan(i * Width, Width).ToArray();
        }

        return vectors;
    }

    private protected override float[][] Generate(IEnumerable<string> values, CancellationToken cancellationToken) => Embed(values, cancellationToken);

    /// <summary>An embedder over a model that knows its folder.</summary>
    /// <param name="model">A model that <see cref="TwoTowerModel.Load(string, Device?)"/> gave.</param>
    /// <param name="ownsModel">Whether the model goes with the embedder.</param>
    /// <param name="options">What deviates from what the folder declares.</param>
    internal static TextEmbedder Over(TwoTowerModel model, bool ownsModel, TextEmbedderOptions? options)
    {
        ModelSource source = model.Source;
        TextTower tower = RequireTower(model);
        SentenceTransformersSettings settings = source.ReadSettings(tower);
        options ??= new TextEmbedderOptions();
        return new TextEmbedder(model, ownsModel, settings, TextPipeline.Of(tower, source, settings, options), options, source.Name);
    }

    private static TextTower RequireTower(TwoTowerModel model)
    {
        ArgumentNullException.ThrowIfNull(model);
        return model.Text ?? throw new UserErrorException("the model has no text tower", "name the folder of a text tower or of a two-tower model");
    }
}
