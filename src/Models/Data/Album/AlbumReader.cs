using System.Text;
using System.Text.Json;

namespace CrossAlign.Models.Data.Album;

/// <summary>Reads a prepared album.</summary>
internal static class AlbumReader
{
    /// <summary>Reads concepts, the captions of the languages asked for, and the pictures.</summary>
    internal static CaptionedPictures Read(string folder, PhotoAlbumSummary summary, DataSetOptions options)
    {
        string[] languages = options.Languages.Count > 0 ? [.. options.Languages] : [.. PhotoAlbum.DefaultLanguages];
        foreach (string language in languages)
        {
            if (!summary.Languages.Any(l => l.Code == language))
            {
                throw new UserErrorException(
                    $"the photo album has no captions in language '{language}'", $"choose from {string.Join(", ", summary.Languages.Select(static l => l.Code))}");
            }
        }

        Dictionary<string, Dictionary<string, ConceptCaptions>> captions = new(StringComparer.Ordinal);
        foreach (string language in languages.Append("en").Append("es").Distinct(StringComparer.Ordinal))
        {
            captions[language] = ReadCaptions(Path.Combine(folder, AlbumBuilder.CaptionsFolder, language + ".jsonl"));
        }

        List<Concept> concepts = [];
        foreach (JsonElement line in Lines(Path.Combine(folder, AlbumBuilder.ConceptsFile)))
        {
            string id = line.GetProperty("id").GetString()!;
            concepts.Add(new(
                id,
                ConceptHash.SplitOf(id, options.SplitSalt),
                ConceptHash.HoldsOutName(id),
                [.. languages.Select(l => captions[l].GetValueOrDefault(id))],
                category: line.GetProperty("category").GetString()!,
                subcategory: line.GetProperty("subcategory").GetString()!,
                symbol: line.GetProperty("symbol").GetString()!,
                englishName: NameIn("en", id),
                spanishName: NameIn("es", id)));
        }

        string path = Path.Combine(folder, AlbumBuilder.PicturesName);
        (PictureStore pictures, int[] conceptOf, int[] styleOf) = PicturesFile.Read(path, options.PictureSize, options.Preprocessor);
        string[] warnings = [.. summary.Styles
            .Where(static s => s.Skipped.Count > 0)
            .Select(static s => $"{s.Style.Title}: {s.Skipped.Count} drawings could not be rendered and are left out ({string.Join(", ", s.Skipped)})")];
        return new(
            PhotoAlbum.Name,
            languages,
            concepts,
            [.. summary.Styles.Select(static s => s.Style)],
            pictures,
            conceptOf,
            styleOf,
            summary.Sources,
            "sha256-" + AlbumManifest.TryRead(folder)!.Files[AlbumBuilder.PicturesName].Sha256,
            warnings);

        string? NameIn(string language, string id) => captions[language].GetValueOrDefault(id) is { HasName: true } c ? c.Name : null;
    }

    /// <summary>The objects of a file with one on each line.</summary>
    internal static IEnumerable<JsonElement> Lines(string path)
    {
        foreach (string line in File.ReadLines(path, Encoding.UTF8))
        {
            using JsonDocument document = JsonDocument.Parse(line);
            yield return document.RootElement;
        }
    }

    private static Dictionary<string, ConceptCaptions> ReadCaptions(string path)
    {
        Dictionary<string, ConceptCaptions> captions = new(StringComparer.Ordinal);
        foreach (JsonElement line in Lines(path))
        {
            captions[line.GetProperty("id").GetString()!] = ConceptCaptions.FromNameAndKeywords(
                line.GetProperty("name").GetString() ?? string.Empty,
                line.GetProperty("keywords").EnumerateArray().Select(static k => k.GetString()!));
        }

        return captions;
    }
}
