using CrossAlign.Models.Data;
using CrossAlign.Models.Encoders;
using CrossAlign.Models.Tokenization;

namespace CrossAlign.Models.Evaluation;

/// <summary>
/// The vectors of texts and pictures in the shared space, in the order given. Texts are sorted by length into batches of about the
/// same number of tokens; the vectors do not depend on that.
/// </summary>
public sealed class ConceptEmbedder
{
    // Enough for the matrix products to run at full rate; the activations of the largest published towers still fit.
    private const int TokensPerBatch = 2048;
    private const int PicturesPerBatch = 128;

    private readonly TwoTowerModel _model;
    private readonly ITokenizer _tokenizer;
    private readonly TokenBatch _batch;
    private readonly TowerInputs _inputs;
    private readonly int _maxTokens;

    /// <summary>Prepares.</summary>
    /// <param name="model">The towers.</param>
    /// <param name="tokenizer">The text tower's tokenizer.</param>
    /// <param name="inputs">How texts and pictures enter the towers.</param>
    public ConceptEmbedder(TwoTowerModel model, ITokenizer tokenizer, TowerInputs inputs)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(tokenizer);
        ArgumentNullException.ThrowIfNull(inputs);
        _model = model;
        _tokenizer = tokenizer;
        _inputs = inputs;
        TokenPacking packing = model.Text?.Packing ?? throw new ArgumentException("The model has no text tower.", nameof(model));
        _maxTokens = Math.Min(inputs.MaxTokens, packing.MaxTokens);
        _batch = new TokenBatch(packing);
    }

    /// <summary>Texts so far that were cut.</summary>
    public int TruncatedCount { get; private set; }

    /// <summary>The vectors of texts.</summary>
    /// <param name="texts">The texts.</param>
    /// <returns>A unit row a text.</returns>
    public EmbeddingMatrix EmbedTexts(IReadOnlyList<string> texts)
    {
        ArgumentNullException.ThrowIfNull(texts);
        int width = _model.EmbeddingWidth();
        int[][] tokens = new int[texts.Count][];
        List<int> ids = [];
        for (int i = 0; i < tokens.Length; i++)
        {
            ids.Clear();
            TruncatedCount += _tokenizer.Encode(_inputs.Prefix + texts[i], ids, _maxTokens) ? 1 : 0;
            tokens[i] = [.. ids];
        }

        float[] rows = new float[texts.Count * width];
        int[] order = [.. Enumerable.Range(0, texts.Count).OrderBy(i => tokens[i].Length)];
        List<int> members = [];
        for (int i = 0; i < order.Length; i++)
        {
            _batch.Add(tokens[order[i]]);
            members.Add(order[i]);
            if (_batch.TokenCount >= TokensPerBatch || i == order.Length - 1)
            {
                float[] part = new float[members.Count * width];
                _model.EmbedText(_batch, part);
                for (int m = 0; m < members.Count; m++)
                {
                    part.AsSpan(m * width, width).CopyTo(rows.AsSpan(members[m] * width));
                }

                _batch.Clear();
                members.Clear();
            }
        }

        return new EmbeddingMatrix(rows, texts.Count, width);
    }

    /// <summary>The vectors of pictures.</summary>
    /// <param name="store">The pictures; of the image tower's size.</param>
    /// <param name="pictures">Which of them.</param>
    /// <returns>A unit row a picture.</returns>
    public EmbeddingMatrix EmbedPictures(PictureStore store, IReadOnlyList<int> pictures)
    {
        ArgumentNullException.ThrowIfNull(store);
        ArgumentNullException.ThrowIfNull(pictures);
        int width = _model.EmbeddingWidth();
        int size = store.PictureByteCount;
        float[] rows = new float[pictures.Count * width];
        float[] pixels = new float[Math.Min(PicturesPerBatch, Math.Max(pictures.Count, 1)) * size];
        for (int first = 0; first < pictures.Count; first += PicturesPerBatch)
        {
            int count = Math.Min(PicturesPerBatch, pictures.Count - first);
            for (int i = 0; i < count; i++)
            {
                PictureAugmentation.Normalize(store[pictures[first + i]], store.Size, _inputs.Pictures, pixels.AsSpan(i * size, size));
            }

            _model.EmbedImages(pixels.AsSpan(0, count * size), count, store.Size, store.Size, rows.AsSpan(first * width, count * width));
        }

        return new EmbeddingMatrix(rows, pictures.Count, width);
    }
}
