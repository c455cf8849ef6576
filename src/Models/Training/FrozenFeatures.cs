using System.Globalization;
using System.Runtime.InteropServices;
using CrossAlign.Models.Encoders;
using CrossAlign.Models.Training.Configuration;
using CrossAlign.Runtime;

namespace CrossAlign.Models.Training;

/// <summary>
/// What frozen towers give, each input computed once: the pooled rows of a tower that is frozen whole, or stands still for now; of a
/// text tower that is frozen in part the rows that enter its first trained block. A text's rows depend on its tokens alone, to the
/// bit, whatever stands beside it, so what comes from the cache is what would be computed. Pictures are looked up by their index,
/// which says all about them only where nothing is augmented; else they are computed every time.
/// </summary>
internal sealed class FrozenFeatures : IDisposable
{
    private readonly TwoTowerModel _model;
    private readonly bool _isPlan;
    private readonly int _lowestBlocks;
    private readonly FeatureCache? _texts;
    private readonly FeatureCache? _lowerTexts;
    private readonly FeatureCache? _pictures;
    private readonly TokenBatch? _newTexts;
    private readonly List<int> _missing = [];

    // Of its own: how much is missing differs from step to step, and what a captured graph works in must stay where it is.
    private readonly TensorArena? _arena;
    private float[] _rows = [];
    private float[] _computed = [];
    private float[] _pixels = [];

    /// <summary>Looks at what is frozen.</summary>
    /// <param name="model">The towers, frozen as the configuration says.</param>
    /// <param name="config">Says how much memory there is, and whether pictures are augmented.</param>
    public FrozenFeatures(TwoTowerModel model, RunConfig config)
    {
        _model = model;

        // On a device without memory every row is computed, which is also what the first steps do.
        _isPlan = model.Device.IsPlan;
        long byteLimit = (long)config.FeatureCacheMegabytes << 20;
        TextTower tower = model.Text!;
        bool whole = tower.Freeze == TowerFreeze.All;
        _lowestBlocks = tower.Freeze.LowestBlocks;
        bool drops = tower.Config.HiddenDropout > 0 || tower.Config.AttentionDropout > 0;
        bool text = whole || (config.Schedule.TextFrozenSteps > 0 && !drops);

        // On a GPU the lowest blocks are computed again in less time than their rows take to get there.
        bool lower = !whole && tower.Freeze.LowestBlocks > 0 && !drops && model.Device.Kind != DeviceKind.Cuda;
        bool image = model.Image?.Freeze == TowerFreeze.All && config.Augmentation == 0;
        if (byteLimit == 0)
        {
            return;
        }

        // Pooled rows are few beside rows of tokens; and there are fewer pictures than captions.
        long share = byteLimit / Math.Max(1, (text ? 1 : 0) + (image ? 1 : 0) + (lower ? 2 : 0));
        _pictures = image ? new FeatureCache(share) : null;
        _texts = text ? new FeatureCache(share) : null;
        _lowerTexts = lower ? new FeatureCache(2 * share) : null;
        _newTexts = text || lower ? new TokenBatch(tower.Packing) : null;
        _arena = text || lower || image ? new TensorArena(model.Device, 1 << 20) : null;
    }

    /// <summary>Whether texts' pooled rows are looked up here at some steps.</summary>
    public bool MayHaveTexts => _texts is not null;

    /// <summary>Whether the next texts' pooled rows are looked up here.</summary>
    public bool HasTexts => _texts is not null && _model.Text!.Freeze == TowerFreeze.All;

    /// <summary>Whether the rows that enter the first trained block are looked up here for the next texts.</summary>
    public bool HasLowerTexts => _lowerTexts is not null && _model.Text!.Freeze != TowerFreeze.All;

    /// <summary>Whether pictures are looked up here.</summary>
    public bool HasPictures => _pictures is not null;

    /// <summary>The pooled rows of texts.</summary>
    /// <param name="batch">The texts.</param>
    /// <param name="arena">Where they are taken.</param>
    /// <returns>(S, C), valid until the arena is reset.</returns>
    public Tensor Texts(TokenBatch batch, TensorArena arena)
    {
        Tensor rows = arena.Take(DType.Float32, new Shape(batch.Count, _model.Text!.Config.Width));
        Texts(batch, rows);
        return rows;
    }

    /// <summary>The pooled rows of texts, where a captured graph reads them.</summary>
    /// <param name="batch">The texts.</param>
    /// <param name="rows">(S, C), overwritten.</param>
    public void Texts(TokenBatch batch, in Tensor rows)
    {
        TextTower tower = _model.Text!;
        int c = tower.Config.Width;
        Grow(ref _rows, batch.Count * c);
        _missing.Clear();
        _newTexts!.Clear();
        for (int i = 0; i < batch.Count; i++)
        {
            ReadOnlySpan<int> ids = TextOf(batch, i);
            if (!_texts!.TryGet(ids, _rows.AsSpan(i * c, c)))
            {
                _missing.Add(i);
                _newTexts.Add(ids);
            }
        }

        if (_missing.Count > 0)
        {
            // Where the upper blocks will be tuned later, what they will read is kept on the way.
            Tensor pooled = _lowerTexts is null
                ? tower.Forward(_newTexts, _model.Options.TextPooling.Only, _arena!, TowerPass.Inference)
                : tower.ForwardUpper(_newTexts, _lowestBlocks, KeepLower(_newTexts), _model.Options.TextPooling.Only, _arena!, TowerPass.Inference);
            Download(pooled, _missing.Count * c);
            _arena!.Reset();
            for (int m = 0; m < _missing.Count; m++)
            {
                Keep(_texts!, TextOf(batch, _missing[m]), m, c);
            }
        }

        Upload(rows);
    }

    /// <summary>The pooled rows of texts of a tower whose lowest blocks are frozen: only the others are run, for a backward pass through them.</summary>
    /// <param name="batch">The texts.</param>
    /// <param name="arena">Where tensors are taken.</param>
    /// <param name="pass">What the pass is for.</param>
    /// <returns>(S, C), valid until the arena is reset.</returns>
    public Tensor UpperTexts(TokenBatch batch, TensorArena arena, in TowerPass pass)
    {
        TextTower tower = _model.Text!;
        int c = tower.Config.Width;
        Grow(ref _rows, batch.TokenCount * c);
        _missing.Clear();
        _newTexts!.Clear();
        for (int i = 0; i < batch.Count; i++)
        {
            ReadOnlySpan<int> ids = TextOf(batch, i);
            if (!_lowerTexts!.TryGet(ids, _rows.AsSpan(batch.CuSeqlens[i] * c, ids.Length * c)))
            {
                _missing.Add(i);
                _newTexts.Add(ids);
            }
        }

        if (_missing.Count > 0)
        {
            KeepLower(_newTexts);
            _arena!.Reset();
            for (int m = 0; m < _missing.Count; m++)
            {
                int text = _missing[m];
                int length = TextOf(batch, text).Length * c;
                _computed.AsSpan(_newTexts.CuSeqlens[m] * c, length).CopyTo(_rows.AsSpan(batch.CuSeqlens[text] * c));
            }
        }

        Tensor entering = arena.Take(DType.Float32, new Shape(batch.TokenCount, c));
        Upload(entering);
        return tower.ForwardUpper(batch, _lowestBlocks, entering, _model.Options.TextPooling.Only, arena, pass);
    }

    /// <summary>The pooled rows of pictures.</summary>
    /// <param name="part">The pictures, with their indices.</param>
    /// <param name="size">Height and width.</param>
    /// <param name="arena">Where they are taken.</param>
    /// <returns>(B, C), valid until the arena is reset.</returns>
    public Tensor Pictures(MicroBatch part, int size, TensorArena arena)
    {
        Tensor rows = arena.Take(DType.Float32, new Shape(part.Count, _model.Image!.Config.Width));
        Pictures(part, size, rows);
        return rows;
    }

    /// <summary>The pooled rows of pictures, where a captured graph reads them.</summary>
    /// <param name="part">The pictures, with their indices.</param>
    /// <param name="size">Height and width.</param>
    /// <param name="rows">(B, C), overwritten.</param>
    public void Pictures(MicroBatch part, int size, in Tensor rows)
    {
        ImageTower tower = _model.Image!;
        int c = tower.Config.Width;
        int length = 3 * size * size;
        Grow(ref _rows, part.Count * c);
        _missing.Clear();
        for (int i = 0; i < part.Count; i++)
        {
            if (!_pictures!.TryGet(part.Pictures.AsSpan(i, 1), _rows.AsSpan(i * c, c)))
            {
                _missing.Add(i);
            }
        }

        if (_missing.Count > 0)
        {
            Grow(ref _pixels, _missing.Count * length);
            for (int m = 0; m < _missing.Count && !_isPlan; m++)
            {
                part.Pixels.AsSpan(_missing[m] * length, length).CopyTo(_pixels.AsSpan(m * length));
            }

            Tensor pixels = _arena!.Take(DType.Float32, new Shape(_missing.Count, 3, size, size));
            if (!_isPlan)
            {
                pixels.CopyFrom<float>(_pixels.AsSpan(0, _missing.Count * length));
            }

            Download(tower.Forward(pixels, _model.Options.ImagePooling, _arena, TowerPass.Inference), _missing.Count * c);
            _arena.Reset();
            for (int m = 0; m < _missing.Count; m++)
            {
                Keep(_pictures!, part.Pictures.AsSpan(_missing[m], 1), m, c);
            }
        }

        Upload(rows);
    }

    /// <summary>What the caches did, for a person; null where there is none.</summary>
    /// <returns>A sentence.</returns>
    public string? Describe()
    {
        List<string> parts = [];
        foreach ((string name, FeatureCache? cache) in (ReadOnlySpan<(string, FeatureCache?)>)[("texts", _texts), ("texts up to the first trained block", _lowerTexts), ("pictures", _pictures)])
        {
            if (cache is not null && cache.HitCount + cache.MissCount > 0)
            {
                double share = 100.0 * cache.HitCount / (cache.HitCount + cache.MissCount);
                string full = cache.IsFull ? ", and no room for more (featureCacheMegabytes)" : string.Empty;
                parts.Add(string.Create(CultureInfo.InvariantCulture, $"{cache.Count:N0} {name} of the frozen tower computed and kept, {share:F0} % of the look-ups found{full}"));
            }
        }

        return parts.Count == 0 ? null : string.Join("; ", parts);
    }

    /// <inheritdoc/>
    public void Dispose() => _arena?.Dispose();

    // Runs the lowest blocks, downloads what they give and keeps it; it lies in the arena until that is reset.
    private Tensor KeepLower(TokenBatch texts)
    {
        int c = _model.Text!.Config.Width;
        Tensor hidden = _model.Text.ForwardLower(texts, _lowestBlocks, _arena!);
        Download(hidden, texts.TokenCount * c);
        for (int i = 0; i < texts.Count && !_isPlan; i++)
        {
            ReadOnlySpan<int> ids = TextOf(texts, i);
            _lowerTexts!.Add(ids, _computed.AsSpan(texts.CuSeqlens[i] * c, ids.Length * c));
        }

        return hidden;
    }

    private static ReadOnlySpan<int> TextOf(TokenBatch batch, int index) =>
        batch.Ids[batch.CuSeqlens[index]..batch.CuSeqlens[index + 1]];

    private static void Grow(ref float[] buffer, int length)
    {
        if (buffer.Length < length)
        {
            buffer = new float[length];
        }
    }

    private void Download(in Tensor computed, int length)
    {
        Grow(ref _computed, length);
        if (!_isPlan)
        {
            _model.Device.CopyToHost(computed, MemoryMarshal.AsBytes(_computed.AsSpan(0, length)));
        }
    }

    private void Keep(FeatureCache cache, ReadOnlySpan<int> key, int place, int width)
    {
        ReadOnlySpan<float> row = _computed.AsSpan(place * width, width);
        row.CopyTo(_rows.AsSpan(_missing[place] * width, width));
        if (!_isPlan)
        {
            cache.Add(key, row);
        }
    }

    private void Upload(in Tensor rows)
    {
        if (!_isPlan)
        {
            rows.CopyFrom<float>(_rows.AsSpan(0, (int)rows.Count));
        }
    }
}
