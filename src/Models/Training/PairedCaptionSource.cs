using CrossAlign.Models.Data;
using CrossAlign.Models.Encoders;
using CrossAlign.Models.Tokenization;
using CrossAlign.Models.Training.Configuration;

namespace CrossAlign.Models.Training;

/// <summary>
/// Batches of pictures with captions (or of captions with English captions) drawn from a data set. Every text is tokenized once,
/// when the source is made: a caption of several keywords is the tokens of its parts one after another, which is what the tokenizer
/// gives for the parts joined by spaces.
/// </summary>
internal sealed class PairedCaptionSource : IBatchSource
{
    private readonly RunConfig _config;
    private readonly CaptionedPictures _data;
    private readonly BatchSampler _sampler;
    private readonly CaptionSampler? _english;
    private readonly SampledBatch _drawn;
    private readonly int[][] _tokens;
    private readonly int[][] _englishTokens;
    private readonly TokenPacking _packing;
    private readonly PictureAugmentation _augmentation;
    private readonly int[] _prefix;
    private readonly int[] _caption;
    private readonly int[] _englishLanguage = new int[1];
    private readonly int[] _englishCount = new int[1];
    private readonly int[] _englishTexts;
    private readonly int _begin;
    private readonly int _end;
    private readonly int _microBatchSize;

    /// <summary>Prepares.</summary>
    /// <param name="config">The run's configuration.</param>
    /// <param name="data">The data set.</param>
    /// <param name="tokenizer">The tokenizer.</param>
    /// <param name="model">The towers that the batches are for.</param>
    /// <param name="inputs">How texts and pictures enter them.</param>
    /// <param name="microBatchSize">Pictures a micro-batch.</param>
    /// <exception cref="UserErrorException">The data set lacks a language or style, or has too few train concepts.</exception>
    public PairedCaptionSource(RunConfig config, CaptionedPictures data, ITokenizer tokenizer, TwoTowerModel model, TowerInputs inputs, int microBatchSize)
    {
        _config = config;
        _data = data;
        _microBatchSize = microBatchSize;
        SamplingOptions options = Sampling(config);
        _english = config.Objective == Objective.TextText ? new CaptionSampler(data, English(options)) : null;
        _sampler = new BatchSampler(data, options, config.BatchSize, _english);
        _drawn = _sampler.CreateBatch();
        _begin = tokenizer.SpecialTokens.Begin ?? throw NoMark("begin", tokenizer);
        _end = tokenizer.SpecialTokens.End ?? throw NoMark("end", tokenizer);
        TokenPacking packing = model.Text!.Packing;
        _packing = packing with { MaxTokens = Math.Min(packing.MaxTokens, inputs.MaxTokens) };
        _tokens = Tokenize(_sampler.Texts, tokenizer);
        _englishTokens = _english is null ? [] : Tokenize(_english.Texts, tokenizer);
        _englishTexts = new int[_english?.TextsAtMost ?? 0];
        int longest = _tokens.Concat(_englishTokens).Max(t => t.Length);
        _prefix = inputs.Prefix.Length == 0 ? [] : tokenizer.Encode(inputs.Prefix.TrimEnd())[1..^1];
        _caption = new int[2 + _prefix.Length + (longest * Math.Max(_sampler.TextsAtMost, _englishTexts.Length))];
        _augmentation = new PictureAugmentation(data.Pictures.Size, inputs.Pictures);
    }

    /// <summary>Train concepts that are drawn from.</summary>
    public int ExampleCount => _sampler.Concepts.Count;

    /// <summary>Steps that go through as many examples as there are concepts.</summary>
    public int StepsPerEpoch => (ExampleCount + _config.BatchSize - 1) / _config.BatchSize;

    /// <summary>The languages trained on, as a person reads them.</summary>
    public string Languages => string.Join(" ", _config.Languages);

    /// <summary>What a configuration asks to be drawn.</summary>
    /// <param name="config">The configuration.</param>
    /// <returns>The options.</returns>
    public static SamplingOptions Sampling(RunConfig config) => new()
    {
        Languages = config.Languages,
        Styles = config.Styles ?? [],
        CaptionsPerPicture = config.CaptionsPerPicture,
        NameProbability = (float)config.NameProbability,
        KeywordsAtMost = config.KeywordsAtMost,
        ScrambleCaptions = config.ScrambleCaptions,
        StylesByLanguage = config.StylesByLanguage,
        Seed = (ulong)config.Seed,
    };

    /// <summary>
    /// Takes the gradients of what is to be trained. A published vocabulary has hundreds of thousands of rows, of which a batch
    /// touches hundreds: its gradient names these alone. Several backward passes a step add up, which only the dense form does.
    /// </summary>
    /// <param name="model">The towers that the batches are for.</param>
    public void AllocateGradients(TwoTowerModel model)
    {
        Parameter words = model.Text!.WordEmbeddings;
        if (_config.TextTower.From is not null && _microBatchSize == _config.BatchSize && !words.IsFrozen)
        {
            int captions = (_config.CaptionsPerPicture + (_english is null ? 0 : 1)) * _config.BatchSize;
            int tokens = captions * Math.Min(_caption.Length, _packing.MaxTokens);

            // On a CUDA device captions lie in tensors of a capacity, which is a multiple of some number of tokens.
            model.Parameters.AllocateSparseGradient(words, (tokens + TokenInputs.CapacityStep - 1) / TokenInputs.CapacityStep * TokenInputs.CapacityStep);
        }

        model.Parameters.AllocateGradients();
    }

    /// <inheritdoc/>
    public TrainingBatch NewBatch() => NewBatch(withPictures: true);

    /// <summary>Makes an empty batch; one without room for pictures is filled with captions alone.</summary>
    /// <param name="withPictures">Whether there is room for pictures, where the objective has any.</param>
    /// <returns>The batch.</returns>
    public TrainingBatch NewBatch(bool withPictures)
    {
        int size = withPictures && _config.Objective == Objective.ImageText ? 3 * _data.Pictures.Size * _data.Pictures.Size : 0;
        List<MicroBatch> parts = [];
        for (int first = 0; first < _config.BatchSize; first += _microBatchSize)
        {
            parts.Add(new MicroBatch(_packing, first, Math.Min(_microBatchSize, _config.BatchSize - first), size));
        }

        return new TrainingBatch(_config.BatchSize, _config.CaptionsPerPicture, parts);
    }

    /// <inheritdoc/>
    public void Fill(TrainingBatch batch, int step)
    {
        _sampler.Sample(step, _drawn);
        _drawn.Concepts.CopyTo(batch.Concepts);
        for (int i = 0; i < batch.Pictures; i++)
        {
            // A concept without a group is a group of its own, whose number no other has.
            int group = _data.Concepts[batch.Concepts[i]].Group;
            batch.Groups[i] = group >= 0 ? group : -1 - batch.Concepts[i];
        }

        for (int p = 0; p < batch.MicroBatches.Count; p++)
        {
            Fill(batch.MicroBatches[p], step);
        }
    }

    private static SamplingOptions English(SamplingOptions options) => options with
    {
        Languages = ["en"],
        CaptionsPerPicture = 1,
        ScrambleCaptions = [],
        StylesByLanguage = new Dictionary<string, IReadOnlyList<string>>(),

        // The other side of a pair is drawn independently: often other words for the same thing.
        Seed = options.Seed ^ 0x656E,
    };

    private static UserErrorException NoMark(string mark, ITokenizer tokenizer) =>
        new($"the tokenizer ({tokenizer.Kind}) has no {mark} token", "use one with <s> and </s>, as XLM-R's");

    private static int[][] Tokenize(IReadOnlyList<string> texts, ITokenizer tokenizer)
    {
        int[][] tokens = new int[texts.Count][];
        for (int i = 0; i < tokens.Length; i++)
        {
            // Without <s> and </s>, which stand round the whole caption.
            tokens[i] = tokenizer.Encode(texts[i])[1..^1];
        }

        return tokens;
    }

    private void Fill(MicroBatch part, int step)
    {
        part.Captions.Clear();
        for (int k = 0; k < _config.CaptionsPerPicture; k++)
        {
            for (int i = 0; i < part.Count; i++)
            {
                int caption = (k * _config.BatchSize) + part.First + i;
                int example = (_drawn.Concepts[part.First + i] * _config.CaptionsPerPicture) + k;
                part.Captions.Add(Join(_drawn.TextsOf(caption), _tokens), example);
            }
        }

        ReadOnlySpan<int> pictures = _drawn.Pictures;
        for (int i = 0; i < part.Count; i++)
        {
            int concept = _drawn.Concepts[part.First + i];
            part.Examples[i] = concept;
            if (_english is not null)
            {
                _english.Draw(step, concept, _englishLanguage, _englishTexts, _englishCount);
                int example = (_data.Concepts.Count * _config.CaptionsPerPicture) + concept;
                part.Captions.Add(Join(_englishTexts.AsSpan(0, _englishCount[0]), _englishTokens), example);
            }
            else if (part.Pixels.Length > 0)
            {
                int size = part.Pixels.Length / part.Count;
                part.Pictures[i] = pictures[part.First + i];
                _augmentation.Apply(
                    _data.Pictures[pictures[part.First + i]],
                    (float)_config.Augmentation,
                    (ulong)_config.Seed,
                    step,
                    concept,
                    part.Pixels.AsSpan(i * size, size));
            }
        }
    }

    private ReadOnlySpan<int> Join(ReadOnlySpan<int> texts, int[][] tokens)
    {
        int length = 0;
        _caption[length++] = _begin;
        _prefix.CopyTo(_caption, length);
        length += _prefix.Length;
        foreach (int text in texts)
        {
            tokens[text].CopyTo(_caption, length);
            length += tokens[text].Length;
        }

        _caption[length++] = _end;
        return _caption.AsSpan(0, length);
    }
}
