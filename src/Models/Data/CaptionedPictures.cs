namespace CrossAlign.Models.Data;

/// <summary>
/// Pictures of concepts with their captions in several languages: what the trainer and the evaluation read, whichever data set it
/// is. Immutable; reading allocates nothing.
/// </summary>
public sealed class CaptionedPictures
{
    private readonly int[] _pictureByConceptAndStyle;
    private readonly int[] _conceptOfPicture;
    private readonly int[] _styleOfPicture;

    /// <summary>Puts a data set together.</summary>
    /// <param name="name">Its name (<c>photo-album</c>, <c>shapes</c>, or the folder's).</param>
    /// <param name="languages">Codes of its languages.</param>
    /// <param name="concepts">Its concepts; each has an entry for every language.</param>
    /// <param name="styles">Its drawing styles; a folder of photographs has one.</param>
    /// <param name="pictures">The pictures.</param>
    /// <param name="conceptOfPicture">The concept that each picture shows.</param>
    /// <param name="styleOfPicture">The style of each picture.</param>
    /// <param name="sources">Where it comes from.</param>
    /// <param name="checksum">Names the data's content, for <c>run.json</c>.</param>
    /// <param name="warnings">What a user should know of, each a sentence.</param>
    /// <exception cref="ArgumentException">Lengths or indices do not fit, or two pictures show the same concept in the same style.</exception>
    public CaptionedPictures(
        string name,
        IReadOnlyList<string> languages,
        IReadOnlyList<Concept> concepts,
        IReadOnlyList<PictureStyle> styles,
        PictureStore pictures,
        int[] conceptOfPicture,
        int[] styleOfPicture,
        IReadOnlyList<DataSource> sources,
        string checksum,
        IReadOnlyList<string>? warnings = null)
    {
        ArgumentNullException.ThrowIfNull(languages);
        ArgumentNullException.ThrowIfNull(concepts);
        ArgumentNullException.ThrowIfNull(styles);
        ArgumentNullException.ThrowIfNull(pictures);
        ArgumentNullException.ThrowIfNull(conceptOfPicture);
        ArgumentNullException.ThrowIfNull(styleOfPicture);
        if (conceptOfPicture.Length != pictures.Count || styleOfPicture.Length != pictures.Count)
        {
            throw new ArgumentException("every picture needs a concept and a style", nameof(conceptOfPicture));
        }

        Name = name;
        Languages = languages;
        Concepts = concepts;
        Styles = styles;
        Pictures = pictures;
        Sources = sources;
        Checksum = checksum;
        Warnings = warnings ?? [];
        _conceptOfPicture = conceptOfPicture;
        _styleOfPicture = styleOfPicture;
        _pictureByConceptAndStyle = new int[concepts.Count * styles.Count];
        Array.Fill(_pictureByConceptAndStyle, -1);
        for (int picture = 0; picture < pictures.Count; picture++)
        {
            ref int slot = ref _pictureByConceptAndStyle[(conceptOfPicture[picture] * styles.Count) + styleOfPicture[picture]];
            if (slot >= 0)
            {
                throw new ArgumentException($"two pictures of concept {concepts[conceptOfPicture[picture]].Id} in one style", nameof(styleOfPicture));
            }

            slot = picture;
        }
    }

    /// <summary>Its name.</summary>
    public string Name { get; }

    /// <summary>Codes of its languages.</summary>
    public IReadOnlyList<string> Languages { get; }

    /// <summary>Its concepts.</summary>
    public IReadOnlyList<Concept> Concepts { get; }

    /// <summary>Its drawing styles.</summary>
    public IReadOnlyList<PictureStyle> Styles { get; }

    /// <summary>Its pictures.</summary>
    public PictureStore Pictures { get; }

    /// <summary>Where it comes from, with licences.</summary>
    public IReadOnlyList<DataSource> Sources { get; }

    /// <summary>Names the data's content.</summary>
    public string Checksum { get; }

    /// <summary>What a user should know of (skipped pictures, say), each a sentence.</summary>
    public IReadOnlyList<string> Warnings { get; }

    /// <summary>The picture of a concept in a style.</summary>
    /// <param name="concept">Index of the concept.</param>
    /// <param name="style">Index of the style.</param>
    /// <returns>Index of the picture, or -1 where that style does not draw the concept.</returns>
    public int PictureOf(int concept, int style) => _pictureByConceptAndStyle[(concept * Styles.Count) + style];

    /// <summary>The concept that a picture shows.</summary>
    /// <param name="picture">Index of the picture.</param>
    /// <returns>Index of the concept.</returns>
    public int ConceptOf(int picture) => _conceptOfPicture[picture];

    /// <summary>The style a picture is drawn in.</summary>
    /// <param name="picture">Index of the picture.</param>
    /// <returns>Index of the style.</returns>
    public int StyleOf(int picture) => _styleOfPicture[picture];

    /// <summary>The place of a language.</summary>
    /// <param name="language">Its code.</param>
    /// <returns>Index in <see cref="Languages"/>.</returns>
    /// <exception cref="UserErrorException">The data set has no such language.</exception>
    public int LanguageIndex(string language)
    {
        for (int i = 0; i < Languages.Count; i++)
        {
            if (string.Equals(Languages[i], language, StringComparison.Ordinal))
            {
                return i;
            }
        }

        throw new UserErrorException($"{Name} has no captions in language '{language}'", $"choose from {string.Join(", ", Languages)}");
    }

    /// <summary>The place of a style.</summary>
    /// <param name="style">Its name.</param>
    /// <returns>Index in <see cref="Styles"/>.</returns>
    /// <exception cref="UserErrorException">The data set has no such style.</exception>
    public int StyleIndex(string style)
    {
        for (int i = 0; i < Styles.Count; i++)
        {
            if (string.Equals(Styles[i].Name, style, StringComparison.Ordinal))
            {
                return i;
            }
        }

        throw new UserErrorException($"{Name} has no drawing style '{style}'", $"choose from {string.Join(", ", Styles.Select(static s => s.Name))}");
    }

    /// <summary>The concepts of a split.</summary>
    /// <param name="split">The split.</param>
    /// <returns>Their indices in order.</returns>
    public int[] ConceptsOf(DataSplit split) => [.. Enumerable.Range(0, Concepts.Count).Where(i => Concepts[i].Split == split)];

    /// <summary>The concepts of a set that figures are reported on.</summary>
    /// <param name="set">The set.</param>
    /// <returns>Their indices in order.</returns>
    public int[] ConceptsOf(ConceptSet set) => [.. Enumerable.Range(0, Concepts.Count).Where(i => Concepts[i].Set == set)];

    /// <summary>Whether a concept's name in a language may be asked as a strict query (see <see cref="CaptionText.IsStrict"/>).</summary>
    /// <param name="concept">Index of the concept.</param>
    /// <param name="language">The query's language.</param>
    /// <returns>False also where there is no name. English and Spanish names count whether or not the run has these languages.</returns>
    public bool IsStrictQuery(int concept, string language)
    {
        string? name = NameOf(concept, language);
        return name is not null && CaptionText.IsStrict(language, name, Concepts[concept].EnglishName, Concepts[concept].SpanishName);
    }

    /// <summary>Whether a concept's name in a language differs from the English one.</summary>
    /// <param name="concept">Index of the concept.</param>
    /// <param name="language">The query's language.</param>
    /// <returns>False also where there is no name.</returns>
    public bool IsNotIdenticalQuery(int concept, string language)
    {
        string? name = NameOf(concept, language);
        return name is not null && CaptionText.IsNotIdentical(name, Concepts[concept].EnglishName ?? string.Empty);
    }

    /// <summary>A concept's normalised name.</summary>
    /// <param name="concept">Index of the concept.</param>
    /// <param name="language">Code of a language; one that the data set lacks gives null.</param>
    /// <returns>The name, or null where there is none.</returns>
    public string? NameOf(int concept, string language)
    {
        for (int i = 0; i < Languages.Count; i++)
        {
            if (string.Equals(Languages[i], language, StringComparison.Ordinal))
            {
                return Concepts[concept].CaptionsIn(i) is { HasName: true } captions ? captions.Name : null;
            }
        }

        return null;
    }

    /// <summary>
    /// Every text that training may show in a language: names that are not held out, keywords, sentences, of train concepts only.
    /// A tokenizer is trained on these.
    /// </summary>
    /// <param name="language">Code of a language.</param>
    /// <returns>The texts in the order of the concepts, repeats included.</returns>
    /// <exception cref="UserErrorException">The data set has no such language.</exception>
    public IEnumerable<string> TrainingTexts(string language)
    {
        int index = LanguageIndex(language);
        return Concepts.Where(static c => c.Split == DataSplit.Train).SelectMany(concept => Shown(concept, index));

        static IEnumerable<string> Shown(Concept concept, int language)
        {
            if (concept.CaptionsIn(language) is not { } captions)
            {
                return [];
            }

            IEnumerable<string> name = captions.HasName && !concept.NameHeldOut ? [captions.Name] : [];
            return name.Concat(captions.Keywords).Concat(captions.OtherCaptions);
        }
    }
}
