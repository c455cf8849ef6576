using System.Globalization;
using CrossAlign.Runtime;

namespace CrossAlign.Models.Data;

/// <summary>
/// Draws the batch of a step: different train concepts, for each a picture in a random style and captions in random languages. A pure
/// function of seed and step, so a run that resumes at a step draws what it would have drawn.
/// </summary>
public sealed class BatchSampler
{
    private const uint ConceptStream = 0xBA7C;

    private readonly CaptionedPictures _data;
    private readonly CaptionSampler _captions;
    private readonly SamplingOptions _options;
    private readonly int[] _concepts;
    private readonly int[] _swaps;
    private readonly HashSet<int> _groups;
    private readonly int[] _languages;
    private readonly int[] _texts;
    private readonly int[] _counts;

    /// <summary>Prepares to draw.</summary>
    /// <param name="data">The data set.</param>
    /// <param name="options">What to draw.</param>
    /// <param name="batchSize">Examples in a batch.</param>
    /// <param name="partner">Further captions that are drawn for the same concepts (English ones, to pair text with text); concepts that
    /// it cannot show are left out. Null = none.</param>
    /// <exception cref="UserErrorException">As <see cref="CaptionSampler"/>, or too few train concepts for a batch.</exception>
    public BatchSampler(CaptionedPictures data, SamplingOptions options, int batchSize, CaptionSampler? partner = null)
    {
        ArgumentNullException.ThrowIfNull(data);
        ArgumentNullException.ThrowIfNull(options);
        ArgumentOutOfRangeException.ThrowIfLessThan(batchSize, 1);
        _data = data;
        _options = options;
        _captions = new(data, options);
        _concepts = [.. data.ConceptsOf(DataSplit.Train).Where(c => _captions.CanShow(c) && (partner is null || partner.CanShow(c)))];
        int different = options.DistinctGroups ? _concepts.Select((c, i) => data.Concepts[c].Group is >= 0 and int group ? group : -1 - i).Distinct().Count() : _concepts.Length;
        if (different < batchSize)
        {
            throw new UserErrorException(
                string.Create(CultureInfo.InvariantCulture, $"{data.Name} has {different} train concepts to show, fewer than a batch of {batchSize}"),
                different >= 2
                    ? string.Create(CultureInfo.InvariantCulture, $"lower it, as in --set batchSize={1 << (int)Math.Log2(different)}, or take more pictures, languages or styles")
                    : "a contrastive loss needs at least two: take more pictures, languages or styles");
        }

        BatchSize = batchSize;
        _swaps = new int[_concepts.Length];
        _groups = new(batchSize);
        _languages = new int[options.CaptionsPerPicture];
        _texts = new int[options.CaptionsPerPicture * _captions.TextsAtMost];
        _counts = new int[options.CaptionsPerPicture];
    }

    /// <summary>Examples in a batch.</summary>
    public int BatchSize { get; }

    /// <summary>The train concepts that are drawn from; those that cannot be shown are left out.</summary>
    public IReadOnlyList<int> Concepts => _concepts;

    /// <summary>Every text that can be drawn, once each; <see cref="SampledBatch.TextsOf"/> gives indices in this list. Tokenize these once.</summary>
    public IReadOnlyList<string> Texts => _captions.Texts;

    /// <summary>How many texts a caption has at most.</summary>
    public int TextsAtMost => _captions.TextsAtMost;

    /// <summary>Makes a batch to draw into.</summary>
    /// <returns>An empty batch.</returns>
    public SampledBatch CreateBatch() => new(BatchSize, _options.CaptionsPerPicture, _captions.TextsAtMost);

    /// <summary>The words of a caption, as a person reads it.</summary>
    /// <param name="batch">A batch.</param>
    /// <param name="caption">Index of the caption.</param>
    /// <returns>Its texts joined by spaces.</returns>
    public string TextOf(SampledBatch batch, int caption)
    {
        ArgumentNullException.ThrowIfNull(batch);
        return string.Join(' ', batch.TextsOf(caption).ToArray().Select(id => Texts[id]));
    }

    /// <summary>Draws the batch of a step. Not for two threads at once; allocates nothing.</summary>
    /// <param name="step">The step.</param>
    /// <param name="batch">A batch of <see cref="CreateBatch"/>, overwritten.</param>
    public void Sample(int step, SampledBatch batch)
    {
        ArgumentNullException.ThrowIfNull(batch);
        DrawConcepts(step, batch.ConceptArray);

        int captionsPerPicture = _options.CaptionsPerPicture;
        for (int example = 0; example < BatchSize; example++)
        {
            batch.PictureArray[example] = _captions.Draw(step, batch.ConceptArray[example], _languages, _texts, _counts);
            int used = 0;
            for (int slot = 0; slot < captionsPerPicture; slot++)
            {
                int caption = (slot * BatchSize) + example;
                batch.LanguageArray[caption] = _languages[slot];
                batch.SetTexts(caption, _texts.AsSpan(used, _counts[slot]));
                used += _counts[slot];
            }
        }
    }

    /// <summary>Draws different concepts by a partial shuffle that is taken back afterwards, so that no step depends on another.</summary>
    private void DrawConcepts(int step, int[] destination)
    {
        CounterRandom random = new(_options.Seed, ConceptStream, 0, (uint)step);
        _groups.Clear();
        int drawn = 0;
        int visited = 0;
        for (; drawn < destination.Length; visited++)
        {
            int j = visited + random.Next(_concepts.Length - visited);
            _swaps[visited] = j;
            (_concepts[visited], _concepts[j]) = (_concepts[j], _concepts[visited]);
            int group = _data.Concepts[_concepts[visited]].Group;
            if (!_options.DistinctGroups || group < 0 || _groups.Add(group))
            {
                destination[drawn++] = _concepts[visited];
            }
        }

        while (visited-- > 0)
        {
            int j = _swaps[visited];
            (_concepts[visited], _concepts[j]) = (_concepts[j], _concepts[visited]);
        }
    }
}
