using CrossAlign.Models.Data;

namespace CrossAlign.Models.Evaluation;

/// <summary>What a model makes of a data set: a vector for every concept's name in each language and for every picture.</summary>
public sealed class ConceptEmbeddings
{
    private readonly Dictionary<string, EmbeddingMatrix> _names = new(StringComparer.Ordinal);
    private readonly Dictionary<string, EmbeddingMatrix> _pictures = new(StringComparer.Ordinal);

    /// <summary>Starts with no vectors.</summary>
    /// <param name="data">The data set.</param>
    public ConceptEmbeddings(CaptionedPictures data)
    {
        ArgumentNullException.ThrowIfNull(data);
        Data = data;
    }

    /// <summary>The data set.</summary>
    public CaptionedPictures Data { get; }

    /// <summary>The languages whose names have vectors, in the order they were added.</summary>
    public IReadOnlyCollection<string> Languages => _names.Keys;

    /// <summary>The styles whose pictures have vectors, in the order they were added.</summary>
    public IReadOnlyCollection<string> Styles => _pictures.Keys;

    /// <summary>Adds the vectors of a language's names.</summary>
    /// <param name="language">The language.</param>
    /// <param name="rows">(concepts, E): a row for each concept of the data set; what stands for a concept without a name is not read.</param>
    /// <exception cref="ArgumentException">There is not one row a concept, or the language was added before.</exception>
    public void AddNames(string language, EmbeddingMatrix rows) => Add(_names, language, rows);

    /// <summary>Adds the vectors of a style's pictures.</summary>
    /// <param name="style">The style.</param>
    /// <param name="rows">(concepts, E): a row for each concept; what stands for a concept without such a picture is not read.</param>
    /// <exception cref="ArgumentException">There is not one row a concept, or the style was added before.</exception>
    public void AddPictures(string style, EmbeddingMatrix rows) => Add(_pictures, style, rows);

    /// <summary>Encodes and adds the names of a language.</summary>
    /// <param name="language">The language.</param>
    /// <param name="encode">Gives a vector for each text.</param>
    /// <exception cref="UserErrorException">The data set has no such language, or no name in it.</exception>
    public void EncodeNames(string language, Func<IReadOnlyList<string>, EmbeddingMatrix> encode)
    {
        ArgumentNullException.ThrowIfNull(encode);
        Data.LanguageIndex(language);
        int[] named = [.. Enumerable.Range(0, Data.Concepts.Count).Where(c => Data.NameOf(c, language) is not null)];
        if (named.Length == 0)
        {
            throw new UserErrorException($"{Data.Name} has no captions in language '{language}'", "leave the language out");
        }

        EmbeddingMatrix vectors = encode([.. named.Select(c => Data.NameOf(c, language)!)]);
        float[] rows = new float[(long)Data.Concepts.Count * vectors.Columns];
        for (int i = 0; i < named.Length; i++)
        {
            vectors.Row(i).CopyTo(rows.AsSpan(named[i] * vectors.Columns));
        }

        AddNames(language, EmbeddingMatrix.Adopt(rows, Data.Concepts.Count, vectors.Columns));
    }

    /// <summary>Encodes and adds the pictures of a style.</summary>
    /// <param name="style">The style.</param>
    /// <param name="encode">Gives a vector for each picture of the data set, by its index.</param>
    /// <exception cref="UserErrorException">The data set has no such style, or no picture in it.</exception>
    public void EncodePictures(string style, Func<IReadOnlyList<int>, EmbeddingMatrix> encode)
    {
        ArgumentNullException.ThrowIfNull(encode);
        int index = Data.StyleIndex(style);
        int[] drawn = [.. Enumerable.Range(0, Data.Concepts.Count).Where(c => Data.PictureOf(c, index) >= 0)];
        if (drawn.Length == 0)
        {
            throw new UserErrorException($"{Data.Name} has no picture in style '{style}'", "leave the style out");
        }

        EmbeddingMatrix vectors = encode([.. drawn.Select(c => Data.PictureOf(c, index))]);
        float[] rows = new float[(long)Data.Concepts.Count * vectors.Columns];
        for (int i = 0; i < drawn.Length; i++)
        {
            vectors.Row(i).CopyTo(rows.AsSpan(drawn[i] * vectors.Columns));
        }

        AddPictures(style, EmbeddingMatrix.Adopt(rows, Data.Concepts.Count, vectors.Columns));
    }

    /// <summary>The vectors of a language's names.</summary>
    /// <param name="language">The language.</param>
    /// <returns>(concepts, E) rows.</returns>
    /// <exception cref="UserErrorException">The language was not added.</exception>
    public EmbeddingMatrix Names(string language) => _names.TryGetValue(language, out EmbeddingMatrix? rows)
        ? rows
        : throw new UserErrorException($"no captions in language '{language}' were encoded", $"choose from {string.Join(", ", Languages)}");

    /// <summary>The vectors of a style's pictures.</summary>
    /// <param name="style">The style.</param>
    /// <returns>(concepts, E) rows.</returns>
    /// <exception cref="UserErrorException">The style was not added.</exception>
    public EmbeddingMatrix Pictures(string style) => _pictures.TryGetValue(style, out EmbeddingMatrix? rows)
        ? rows
        : throw new UserErrorException($"no pictures in style '{style}' were encoded", $"choose from {string.Join(", ", Styles)}");

    /// <summary>The groups of some concepts: a number of its own for each concept without one.</summary>
    /// <param name="concepts">Indices of concepts.</param>
    /// <returns>A number a concept, or null where none has a group.</returns>
    internal int[]? GroupsOf(int[] concepts) => Array.TrueForAll(concepts, c => Data.Concepts[c].Group < 0)
        ? null
        : [.. concepts.Select(c => Data.Concepts[c].Group is int group and >= 0 ? group : -1 - c)];

    private void Add(Dictionary<string, EmbeddingMatrix> all, string name, EmbeddingMatrix rows)
    {
        ArgumentNullException.ThrowIfNull(rows);
        if (rows.Rows != Data.Concepts.Count)
        {
            throw new ArgumentException($"{Data.Concepts.Count} concepts need as many rows, not {rows.Rows}.", nameof(rows));
        }

        if (!all.TryAdd(name, rows))
        {
            throw new ArgumentException($"The vectors of '{name}' were added before.", nameof(name));
        }
    }
}
