namespace CrossAlign.Models.Encoders;

/// <summary>
/// Token rows to vectors: the longest first, in batches of about equal token counts, so that hardly anything is computed twice or for
/// padding. A row's vector does not depend on the rows beside it to the bit.
/// </summary>
public sealed class TokenEmbedder
{
    private readonly TwoTowerModel _model;
    private readonly TokenBatch[] _batches;
    private readonly PoolingModes _pooling;
    private readonly bool _normalize;
    private readonly bool _project;
    private readonly int _batchTokens;
    private readonly int _unpooledTokens;

    /// <summary>Prepares.</summary>
    /// <param name="model">A model with a text tower; it outlives the embedder.</param>
    /// <param name="pooling">How a text's rows become its vector.</param>
    /// <param name="normalize">Whether vectors are divided by their Euclidean norm.</param>
    /// <param name="project">Whether the head is applied where there is one.</param>
    /// <param name="batchTokens">About how many tokens go through the tower at once.</param>
    /// <param name="unpooledTokens">How many of each row's first tokens means and maxima leave out: <see cref="TextPipeline.UnpooledTokens"/>.</param>
    /// <exception cref="UserErrorException">The model has no text tower, or the layer behind it does not take what the pooling gives.</exception>
    public TokenEmbedder(TwoTowerModel model, PoolingModes pooling, bool normalize, bool project, int batchTokens, int unpooledTokens = 0)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(pooling);
        ArgumentOutOfRangeException.ThrowIfLessThan(batchTokens, 1);
        TextTower text = model.Text ?? throw new UserErrorException("the model has no text tower", "name the folder of a text tower or of a two-tower model");
        int pooled = text.Config.Width * pooling.Kinds.Length;
        if (project && (model.TextHead?.InputWidth ?? (model.TextDense is [DenseModule first, ..] ? first.InputWidth : null)) is int takes && takes != pooled)
        {
            throw new UserErrorException(
                FormattableString.Invariant($"the pooling {pooling.Name} gives rows of {pooled} numbers, and the layer behind it takes {takes}"), "leave --pooling out, or give --project false");
        }

        _model = model;
        _batches = [new TokenBatch(text.Packing), new TokenBatch(text.Packing)];
        _pooling = pooling;
        _normalize = normalize;
        _project = project;
        _batchTokens = batchTokens;
        _unpooledTokens = unpooledTokens;
    }

    /// <summary>The length of a vector.</summary>
    public int Width => _model.EmbeddingWidth(_project, _pooling);

    /// <summary>The vectors of token rows.</summary>
    /// <param name="rows">The rows, at least one token each; longer ones than the tower takes keep their first tokens and their last.</param>
    /// <param name="destination">(number of rows, <see cref="Width"/>), overwritten, in the order of the rows.</param>
    /// <param name="done">Told after each batch how many rows it held and how many tokens; null for none.</param>
    /// <param name="cancellationToken">Looked at between batches.</param>
    /// <exception cref="ArgumentException">A row has no token, or <paramref name="destination"/> is too short.</exception>
    public void Embed(IReadOnlyList<TokenRow> rows, Span<float> destination, Action<int, int>? done = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(rows);
        int[] order = [.. Enumerable.Range(0, rows.Count).OrderByDescending(i => rows[i].TokenCount)];
        float[] vectors = [];
        (TokenBatch batch, TokenBatch next) = (_batches[0], _batches[1]);
        EmbeddingInputs? inputs = _model.Inputs;
        inputs?.Forget();
        int last = Fill(batch, rows, order, 0);
        for (int first = 0; first < order.Length;)
        {
            cancellationToken.ThrowIfCancellationRequested();
            int length = (last - first) * Width;
            vectors = vectors.Length < length ? new float[length] : vectors;
            int following = last;
            if (inputs is null)
            {
                _model.EmbedText(batch, vectors.AsSpan(0, length), _project, _normalize, _pooling, _unpooledTokens);
                following = Fill(next, rows, order, last);
            }
            else
            {
                _model.EmbedText(batch, vectors.AsSpan(0, length), _project, _normalize, _pooling, _unpooledTokens, SendNext);
            }

            for (int i = first; i < last; i++)
            {
                vectors.AsSpan((i - first) * Width, Width).CopyTo(destination[(order[i] * Width)..]);
            }

            done?.Invoke(last - first, batch.TokenCount);
            (first, last) = (last, following);
            (batch, next) = (next, batch);

            // Beside the batch that is computed.
            void SendNext()
            {
                following = Fill(next, rows, order, last);
                if (next.Count > 0)
                {
                    inputs!.Send(next, _model.Text!.ReadsTypes);
                }
            }
        }
    }

    // The rows from a place on that go through the tower at once; gives the place behind them.
    private int Fill(TokenBatch batch, IReadOnlyList<TokenRow> rows, int[] order, int first)
    {
        batch.Clear();
        int last = first;
        while (last < order.Length && (last == first || batch.TokenCount + rows[order[last]].TokenCount <= _batchTokens))
        {
            TokenRow row = rows[order[last++]];
            batch.Add(row.Ids, 0, row.Mask);
        }

        return last;
    }
}
