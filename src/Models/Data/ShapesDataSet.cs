using System.Globalization;
using System.Security.Cryptography;
using CrossAlign.Models.Data.Shapes;

namespace CrossAlign.Models.Data;

/// <summary>
/// Pictures that the program draws (shapes, colours, sizes, positions, counts) with captions that small grammars compose in five
/// languages. It needs no network and no files and is the same on every machine, so tests and a first try can train on it. Concepts
/// have short names and keywords and are split as the album's are.
/// </summary>
public static class ShapesDataSet
{
    /// <summary>The data set's name.</summary>
    public const string Name = "shapes";

    /// <summary>The languages captions are composed in.</summary>
    public static IReadOnlyList<string> Languages => ShapeVocabulary.Languages;

    /// <summary>Draws the pictures and composes the captions.</summary>
    /// <param name="options">Languages (default: all five), picture size (8 to 512), split.</param>
    /// <returns>The data set.</returns>
    /// <exception cref="UserErrorException">A language without a grammar, or a picture size outside 8 to 512.</exception>
    public static CaptionedPictures Create(DataSetOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        if (options.PictureSize is < 8 or > 512)
        {
            throw new UserErrorException(
                string.Create(CultureInfo.InvariantCulture, $"shapes cannot be drawn with {options.PictureSize} pixels"), "choose a picture size from 8 to 512");
        }

        string[] languages = options.Languages.Count > 0 ? [.. options.Languages] : ShapeVocabulary.Languages;
        foreach (string language in languages)
        {
            if (!ShapeVocabulary.Languages.Contains(language, StringComparer.Ordinal))
            {
                throw new UserErrorException($"shapes has no captions in language '{language}'", $"choose from {string.Join(", ", ShapeVocabulary.Languages)}");
            }
        }

        List<Concept> concepts = [];
        List<Scene> scenes = [];
        foreach (ShapeVocabulary.Noun noun in ShapeVocabulary.Nouns)
        {
            foreach (ShapeVocabulary.Colour colour in ShapeVocabulary.Colours)
            {
                foreach (ShapeArrangement arrangement in Enum.GetValues<ShapeArrangement>())
                {
                    concepts.Add(MakeConcept(noun, colour, arrangement, languages, options.SplitSalt));
                    scenes.Add(new(noun.Form, colour.Rgb, arrangement));
                }
            }
        }

        int styles = ShapePainter.Styles.Length;
        PictureStore pictures = new(options.PictureSize, concepts.Count * styles);
        Parallel.For(0, concepts.Count, concept =>
        {
            Scene scene = scenes[concept];
            for (int style = 0; style < styles; style++)
            {
                ShapePainter.Paint(
                    scene.Form, scene.Rgb, scene.Arrangement, style, (uint)concept, options.PictureSize, pictures.Slot((concept * styles) + style));
            }
        });
        int[] conceptOfPicture = [.. Enumerable.Range(0, pictures.Count).Select(i => i / styles)];
        int[] styleOfPicture = [.. Enumerable.Range(0, pictures.Count).Select(i => i % styles)];
        DataSource source = new("crossalign shapes", "1", "MIT", "pictures and captions, made by the program");
        return new(Name, languages, concepts, ShapePainter.Styles, pictures, conceptOfPicture, styleOfPicture, [source], Checksum(pictures));
    }

    private static Concept MakeConcept(
        ShapeVocabulary.Noun noun, ShapeVocabulary.Colour colour, ShapeArrangement arrangement, string[] languages, string splitSalt)
    {
        string id = $"{arrangement}-{colour.English}-{noun.Form}".ToLowerInvariant();
        ConceptCaptions?[] captions = [.. languages.Select(language => ShapeGrammar.Compose(language, noun, colour, arrangement))];
        return new(
            id,
            ConceptHash.SplitOf(id, splitSalt),
            ConceptHash.HoldsOutName(id),
            captions,
            category: noun.Form.ToString().ToLowerInvariant(),
            subcategory: $"{colour.English} {noun.English.One}",
            englishName: ShapeGrammar.Compose("en", noun, colour, arrangement).Name,
            spanishName: ShapeGrammar.Compose("es", noun, colour, arrangement).Name);
    }

    private static string Checksum(PictureStore pictures)
    {
        using IncrementalHash hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        for (int i = 0; i < pictures.Count; i++)
        {
            hash.AppendData(pictures[i]);
        }

        return "sha256-" + Convert.ToHexStringLower(hash.GetHashAndReset());
    }

    private sealed record Scene(ShapeForm Form, (byte R, byte G, byte B) Rgb, ShapeArrangement Arrangement);
}
