namespace CrossAlign.Models.Data;

/// <summary>
/// The pictures of a step and their captions. Written anew by every call of <see cref="BatchSampler.Sample"/> and without
/// allocation. Captions lie slot by slot: caption <c>slot * BatchSize + example</c> belongs to picture <c>example</c>.
/// </summary>
public sealed class SampledBatch
{
    private readonly int[] _textIds;
    private readonly int[] _counts;
    private readonly int _textsAtMost;

    internal SampledBatch(int batchSize, int captionsPerPicture, int textsAtMost)
    {
        BatchSize = batchSize;
        CaptionsPerPicture = captionsPerPicture;
        ConceptArray = new int[batchSize];
        PictureArray = new int[batchSize];
        LanguageArray = new int[batchSize * captionsPerPicture];
        _counts = new int[LanguageArray.Length];
        _textsAtMost = textsAtMost;
        _textIds = new int[LanguageArray.Length * textsAtMost];
    }

    /// <summary>B, the number of pictures.</summary>
    public int BatchSize { get; }

    /// <summary>Captions of each picture.</summary>
    public int CaptionsPerPicture { get; }

    /// <summary>Number of captions: B times <see cref="CaptionsPerPicture"/>.</summary>
    public int CaptionCount => LanguageArray.Length;

    /// <summary>The concept of each example, all different (B).</summary>
    public ReadOnlySpan<int> Concepts => ConceptArray;

    /// <summary>The picture of each example, an index in the data set's <see cref="PictureStore"/> (B).</summary>
    public ReadOnlySpan<int> Pictures => PictureArray;

    /// <summary>The language of each caption, an index in the data set's languages (B times captions per picture).</summary>
    public ReadOnlySpan<int> Languages => LanguageArray;

    internal int[] ConceptArray { get; }

    internal int[] PictureArray { get; }

    internal int[] LanguageArray { get; }

    /// <summary>
    /// The texts that a caption consists of, in order: indices in <see cref="BatchSampler.Texts"/>. A caption reads as its texts joined by
    /// spaces, so a tokenizer that splits at white space gives the tokens of the texts one after another.
    /// </summary>
    /// <param name="caption">Index of the caption.</param>
    /// <returns>At least one index.</returns>
    public ReadOnlySpan<int> TextsOf(int caption) => _textIds.AsSpan(caption * _textsAtMost, _counts[caption]);

    internal void SetTexts(int caption, ReadOnlySpan<int> texts)
    {
        texts.CopyTo(_textIds.AsSpan(caption * _textsAtMost));
        _counts[caption] = texts.Length;
    }
}
