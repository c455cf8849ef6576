using CrossAlign.Runtime;

namespace CrossAlign.Models.Data;

/// <summary>
/// Draws a picture of a concept and captions for it. What is drawn depends on seed, step and concept alone, never on the other
/// concepts of a batch. A held-out name is never drawn, nor spelt by its keywords in a row.
/// </summary>
/// <remarks>
/// The languages of a picture are drawn among those that have something to show of the concept, so every batch is full: a held-out
/// concept whose language has no keywords shows another language in its place, and one that no language can show is left out of
/// training (<see cref="CanShow"/>).
/// </remarks>
public sealed class CaptionSampler
{
    private const uint DrawStream = 0xCA97;
    private const uint ScrambleStream = 0x5C4A;

    private readonly SamplingOptions _options;
    private readonly int _languageCount;
    private readonly int _styleCount;
    private readonly int[] _styles;
    private readonly int[] _languages;
    private readonly bool[] _styleAllowed;
    private readonly Shown[] _shown;
    private readonly int[] _pictures;
    private readonly List<string> _texts = [];
    private readonly int[] _scratch;
    private readonly int[] _order;

    /// <summary>Prepares to draw.</summary>
    /// <param name="data">The data set.</param>
    /// <param name="options">What to draw.</param>
    /// <exception cref="UserErrorException">A language or style that the data set lacks, or counts and chances that make no sense.</exception>
    public CaptionSampler(CaptionedPictures data, SamplingOptions options)
    {
        ArgumentNullException.ThrowIfNull(data);
        ArgumentNullException.ThrowIfNull(options);
        Require(options.CaptionsPerPicture >= 1, "captionsPerPicture", "at least 1");
        Require(options.KeywordsAtMost >= 1, "keywordsAtMost", "at least 1");
        Require(options.NameProbability is >= 0 and <= 1, "nameProbability", "from 0 to 1");
        _options = options;
        _languageCount = data.Languages.Count;
        _styleCount = data.Styles.Count;
        _languages = options.Languages.Count > 0
            ? [.. options.Languages.Distinct(StringComparer.Ordinal).Select(data.LanguageIndex)]
            : [.. Enumerable.Range(0, _languageCount)];
        _styles = options.Styles.Count > 0
            ? [.. options.Styles.Distinct(StringComparer.Ordinal).Select(data.StyleIndex)]
            : [.. Enumerable.Range(0, _styleCount).Where(s => !data.Styles[s].Unseen)];
        _styleAllowed = AllowedStyles(data, options);
        _shown = new Shown[data.Concepts.Count * _languageCount];
        _pictures = new int[data.Concepts.Count * _styleCount];
        for (int concept = 0; concept < data.Concepts.Count; concept++)
        {
            for (int style = 0; style < _styleCount; style++)
            {
                _pictures[(concept * _styleCount) + style] = data.PictureOf(concept, style);
            }
        }

        CollectTexts(data);
        int mostTexts = _shown.Max(static s => (int?)s.Keywords?.Length) ?? 0;
        _scratch = new int[Math.Max(mostTexts, 1)];
        _order = new int[_languages.Length];
        TextsAtMost = Math.Clamp(mostTexts, 1, options.KeywordsAtMost);
    }

    /// <summary>Every text that can be drawn, once each: names, keywords, sentences. Tokenize these once.</summary>
    public IReadOnlyList<string> Texts => _texts;

    /// <summary>How many texts a caption has at most.</summary>
    public int TextsAtMost { get; }

    /// <summary>Whether a concept can be shown in training at all: it has a picture in a style and something to say in a language that go together.</summary>
    /// <param name="concept">Index of the concept.</param>
    /// <returns>False also for concepts outside the train split.</returns>
    public bool CanShow(int concept)
    {
        foreach (int style in _styles)
        {
            if (IsStyleShown(concept, style))
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>Draws the picture and the captions of one example.</summary>
    /// <param name="step">The step.</param>
    /// <param name="concept">Index of a concept that <see cref="CanShow"/>.</param>
    /// <param name="captionLanguages">Overwritten with the language of each caption; its length is the number of captions.</param>
    /// <param name="texts">Overwritten with texts of the captions one after another; room for <see cref="TextsAtMost"/> each.</param>
    /// <param name="textCounts">Overwritten with the number of texts of each caption.</param>
    /// <returns>Index of the picture.</returns>
    /// <exception cref="ArgumentException">The concept cannot be shown.</exception>
    public int Draw(int step, int concept, Span<int> captionLanguages, Span<int> texts, Span<int> textCounts)
    {
        CounterRandom random = new(_options.Seed, DrawStream, (uint)concept, (uint)step);
        int style = DrawStyle(concept, ref random);
        int count = 0;
        foreach (int language in _languages)
        {
            if (IsShown(concept, style, language))
            {
                _order[count++] = language;
            }
        }

        Span<int> languages = _order.AsSpan(0, count);
        int used = 0;
        for (int caption = 0; caption < captionLanguages.Length; caption++)
        {
            if (caption % count == 0)
            {
                random.Shuffle(languages);
            }

            captionLanguages[caption] = languages[caption % count];
            textCounts[caption] = DrawTexts(concept, captionLanguages[caption], ref random, texts[used..]);
            used += textCounts[caption];
        }

        return _pictures[(concept * _styleCount) + style];
    }

    private int DrawStyle(int concept, ref CounterRandom random)
    {
        int count = 0;
        foreach (int style in _styles)
        {
            count += IsStyleShown(concept, style) ? 1 : 0;
        }

        if (count == 0)
        {
            throw new ArgumentException("nothing can be shown of this concept", nameof(concept));
        }

        int drawn = random.Next(count);
        foreach (int style in _styles)
        {
            if (IsStyleShown(concept, style) && drawn-- == 0)
            {
                return style;
            }
        }

        throw new InvalidOperationException("a style was counted and is gone");
    }

    private int DrawTexts(int concept, int language, ref CounterRandom random, Span<int> texts)
    {
        Shown shown = _shown[(concept * _languageCount) + language];
        if (shown.Sentences is { } sentences)
        {
            texts[0] = sentences[random.Next(sentences.Length)];
            return 1;
        }

        int[] keywords = shown.Keywords!;
        bool name = shown.Name >= 0 && (keywords.Length == 0 || random.NextSingle() < _options.NameProbability);
        if (name)
        {
            texts[0] = shown.Name;
            return 1;
        }

        int count = 1 + random.Next(Math.Min(_options.KeywordsAtMost, keywords.Length));
        Span<int> pool = _scratch.AsSpan(0, keywords.Length);
        keywords.CopyTo(pool);
        for (int i = 0; i < count; i++)
        {
            int j = i + random.Next(pool.Length - i);
            (pool[i], pool[j]) = (pool[j], pool[i]);
            texts[i] = pool[i];
        }

        if (shown.HeldOutName is { } heldOut && Spells(texts[..count], heldOut))
        {
            (texts[0], texts[1]) = (texts[1], texts[0]);
        }

        return count;
    }

    /// <summary>Whether keywords joined by spaces happen to spell a name ("red", "circle"); one keyword alone never does.</summary>
    private bool Spells(ReadOnlySpan<int> texts, ReadOnlySpan<char> name)
    {
        for (int i = 0; i < texts.Length; i++)
        {
            string text = _texts[texts[i]];
            if (!name.StartsWith(text, StringComparison.Ordinal))
            {
                return false;
            }

            name = name[text.Length..];
            if (i + 1 < texts.Length)
            {
                if (name.Length == 0 || name[0] != ' ')
                {
                    return false;
                }

                name = name[1..];
            }
        }

        return texts.Length > 1 && name.Length == 0;
    }

    private bool IsStyleShown(int concept, int style)
    {
        foreach (int language in _languages)
        {
            if (IsShown(concept, style, language))
            {
                return true;
            }
        }

        return false;
    }

    private bool IsShown(int concept, int style, int language) =>
        _pictures[(concept * _styleCount) + style] >= 0 && _styleAllowed[(language * _styleCount) + style] && _shown[(concept * _languageCount) + language].Exists;

    private bool[] AllowedStyles(CaptionedPictures data, SamplingOptions options)
    {
        bool[] allowed = new bool[_languageCount * _styleCount];
        Array.Fill(allowed, true);
        foreach ((string language, IReadOnlyList<string> styles) in options.StylesByLanguage)
        {
            Span<bool> row = allowed.AsSpan(data.LanguageIndex(language) * _styleCount, _styleCount);
            row.Clear();
            foreach (string style in styles)
            {
                row[data.StyleIndex(style)] = true;
            }
        }

        return allowed;
    }

    private void CollectTexts(CaptionedPictures data)
    {
        Dictionary<string, int> ids = new(StringComparer.Ordinal);
        int[] train = data.ConceptsOf(DataSplit.Train);
        HashSet<int> scrambled = [.. _options.ScrambleCaptions.Select(data.LanguageIndex)];
        foreach (int language in _languages)
        {
            int[] source = scrambled.Contains(language) ? Scrambled(train, language) : train;
            for (int i = 0; i < train.Length; i++)
            {
                Concept concept = data.Concepts[source[i]];
                _shown[(train[i] * _languageCount) + language] = Describe(concept, concept.CaptionsIn(language));
            }
        }

        Shown Describe(Concept concept, ConceptCaptions? captions)
        {
            if (captions is null)
            {
                return default;
            }

            int name = captions.HasName && !concept.NameHeldOut ? IdOf(captions.Name) : -1;
            int[] keywords = [.. captions.Keywords.Select(IdOf)];
            int[]? sentences = null;
            if (captions.OtherCaptions.Count > 0)
            {
                int[] others = [.. captions.OtherCaptions.Select(IdOf)];
                sentences = name >= 0 ? [name, .. others] : others;
            }

            return new(name, keywords, sentences, concept.NameHeldOut && captions.HasName ? captions.Name : null);
        }

        int IdOf(string text)
        {
            if (!ids.TryGetValue(text, out int id))
            {
                id = _texts.Count;
                ids.Add(text, id);
                _texts.Add(text);
            }

            return id;
        }
    }

    /// <summary>A cyclic permutation (S. Sattolo, 1986): every concept gets another one's captions.</summary>
    private int[] Scrambled(int[] concepts, int language)
    {
        CounterRandom random = new(_options.Seed, ScrambleStream, (uint)language);
        int[] result = [.. concepts];
        for (int i = result.Length - 1; i > 0; i--)
        {
            int j = random.Next(i);
            (result[i], result[j]) = (result[j], result[i]);
        }

        return result;
    }

    private static void Require(bool holds, string name, string range)
    {
        if (!holds)
        {
            throw new UserErrorException($"{name} is out of range", $"choose {range}");
        }
    }

    /// <summary>Indices of the texts that a concept shows in a language; name -1 = none.</summary>
    private readonly record struct Shown(int Name, int[]? Keywords, int[]? Sentences, string? HeldOutName)
    {
        internal bool Exists => Keywords is not null && (Name >= 0 || Keywords.Length > 0 || Sentences is not null);
    }
}
