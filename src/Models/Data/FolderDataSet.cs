using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using CrossAlign.Models.Data.Folders;
using CrossAlign.Models.Data.Pictures;
using CrossAlign.Models.Images;

namespace CrossAlign.Models.Data;

/// <summary>
/// A folder of the user's own: <c>captions.jsonl</c> with a line a picture, <c>{"image": "relative/path.png", "id": "...", "captions":
/// {"en": ["...", ...]}, "split": "train" | "validation" | "test", "group": "..."}</c>. Each picture is a concept, each caption a
/// whole description of it that is shown alone; no name is held out.
/// </summary>
public static class FolderDataSet
{
    /// <summary>The file of captions.</summary>
    public const string CaptionsFile = "captions.jsonl";

    private const int MostErrors = 20;

    /// <summary>Reads a folder.</summary>
    /// <param name="folder">The folder.</param>
    /// <param name="decoder">Decodes its pictures.</param>
    /// <param name="options">Languages (default: all that occur, in their order), picture size, split of lines that name none.</param>
    /// <param name="folderOptions">How pictures are read; null = as <see cref="FolderOptions"/> says.</param>
    /// <param name="progress">Told how far it has come.</param>
    /// <param name="cancellationToken">Stops the work.</param>
    /// <returns>The data set; its warnings name pictures left out, groups on both sides of a split, and keys without meaning.</returns>
    /// <exception cref="UserErrorException">The folder, a line or a picture cannot be read; every bad line is named with its number.</exception>
    /// <exception cref="OperationCanceledException">The work was stopped.</exception>
    public static CaptionedPictures Load(
        string folder,
        IImageDecoder decoder,
        DataSetOptions options,
        FolderOptions? folderOptions = null,
        IProgress<DataProgress>? progress = null,
        CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(decoder);
        ArgumentNullException.ThrowIfNull(options);
        CaptionText.RequireUnicodeNormalization();
        folderOptions ??= new();
        string file = Path.Combine(folder, CaptionsFile);
        List<FolderLine> lines = ReadLines(file);
        string[] languages = Languages(file, lines, options);
        List<string> warnings = [.. UnknownKeys(lines)];
        (PictureStore pictures, bool[] read, byte[][] checksums) = ReadPictures(folder, lines, decoder, options, folderOptions, warnings, progress, cancellationToken);
        FolderLine[] kept = [.. lines.Where((_, i) => read[i])];
        if (kept.Length == 0)
        {
            throw new UserErrorException($"no picture of '{file}' can be read", "check the paths and the files") { Details = warnings };
        }

        Concept[] concepts = MakeConcepts(file, kept, languages, options.SplitSalt);
        warnings.AddRange(GroupsOnBothSides(kept, concepts));
        using IncrementalHash hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        hash.AppendData(File.ReadAllBytes(file));
        foreach (byte[] checksum in checksums)
        {
            hash.AppendData(checksum);
        }

        string name = Path.GetFileName(Path.TrimEndingDirectorySeparator(Path.GetFullPath(folder)));
        return new(
            name,
            languages,
            concepts,
            [new PictureStyle("photo", Unseen: false, "pictures of the folder", string.Empty)],
            pictures,
            [.. Enumerable.Range(0, kept.Length)],
            new int[kept.Length],
            [new DataSource(name, string.Empty, string.Empty, "pictures and captions of the user's own")],
            "sha256-" + Convert.ToHexStringLower(hash.GetHashAndReset()),
            warnings);
    }

    private static List<FolderLine> ReadLines(string file)
    {
        List<FolderLine> lines = [];
        List<string> errors = [];
        Dictionary<string, int> lineOfId = new(StringComparer.Ordinal);
        int number = 0;
        try
        {
            using StreamReader reader = new(file, new UTF8Encoding(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true));
            while (reader.ReadLine() is { } text && errors.Count < MostErrors)
            {
                number++;
                if (string.IsNullOrWhiteSpace(text))
                {
                    continue;
                }

                try
                {
                    FolderLine line = FolderLine.Parse(number, text);
                    if (!lineOfId.TryAdd(line.Id, number))
                    {
                        throw new FormatException(string.Create(CultureInfo.InvariantCulture, $"has the id '{line.Id}' of line {lineOfId[line.Id]}"));
                    }

                    lines.Add(line);
                }
                catch (FormatException e)
                {
                    errors.Add(string.Create(CultureInfo.InvariantCulture, $"line {number} of '{file}' {e.Message}"));
                }
            }
        }
        catch (DecoderFallbackException e)
        {
            throw new UserErrorException(
                string.Create(CultureInfo.InvariantCulture, $"'{file}' is not valid UTF-8 behind line {number}"), "save it as UTF-8", e);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new UserErrorException($"'{file}' cannot be read: {e.Message}", $"name a folder that holds {CaptionsFile}, a line a picture", e);
        }

        if (errors.Count > 0)
        {
            throw new UserErrorException(errors[0], "correct the line") { Details = errors[1..] };
        }

        return lines.Count > 0 ? lines : throw new UserErrorException($"'{file}' is empty", "write a line for each picture");
    }

    private static string[] Languages(string file, List<FolderLine> lines, DataSetOptions options)
    {
        string[] there = [.. lines.SelectMany(static l => l.Captions).Select(static c => c.Language).Distinct(StringComparer.Ordinal)];
        foreach (string language in options.Languages)
        {
            if (!there.Contains(language, StringComparer.Ordinal))
            {
                throw new UserErrorException($"'{file}' has no captions in language '{language}'", $"choose from {string.Join(", ", there)}, as in --languages {string.Join(',', there.Take(2))}");
            }
        }

        return options.Languages.Count > 0 ? [.. options.Languages] : there;
    }

    private static (PictureStore Pictures, bool[] Read, byte[][] Checksums) ReadPictures(
        string folder,
        List<FolderLine> lines,
        IImageDecoder decoder,
        DataSetOptions options,
        FolderOptions folderOptions,
        List<string> warnings,
        IProgress<DataProgress>? progress,
        CancellationToken cancellationToken)
    {
        int size = options.PictureSize;
        RequireMemory(lines.Count, size);
        PictureStore pictures = new(size, lines.Count);
        byte[][] checksums = new byte[lines.Count][];
        string?[] problems = new string?[lines.Count];
        int done = 0;
        ParallelOptions parallel = new() { CancellationToken = cancellationToken, MaxDegreeOfParallelism = Environment.ProcessorCount };
        Parallel.For(0, lines.Count, parallel, i =>
        {
            try
            {
                byte[] bytes = File.ReadAllBytes(Path.Combine(folder, lines[i].Image));
                checksums[i] = SHA256.HashData(bytes);
                RgbImage image = decoder.Decode(bytes, lines[i].Image);
                if (options.Preprocessor is { } preprocessor)
                {
                    preprocessor.Fit(image).Pixels.CopyTo(pictures.Slot(i));
                }
                else
                {
                    SquareFitting.Fit(image, folderOptions.Fit, size, pictures.Slot(i));
                }
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException or UserErrorException)
            {
                checksums[i] = [];
                problems[i] = string.Create(CultureInfo.InvariantCulture, $"picture '{lines[i].Image}' of line {lines[i].Number}: {(e as UserErrorException)?.What ?? e.Message}");
            }

            int count = Interlocked.Increment(ref done);
            if (count % 100 == 0 || count == lines.Count)
            {
                progress?.Report(new("reading pictures", (double)count / lines.Count));
            }
        });
        string[] bad = [.. problems.OfType<string>()];
        if (bad.Length > 0 && !folderOptions.SkipUnreadable)
        {
            throw new UserErrorException(bad[0], $"correct the file or its path, or take the line out of {CaptionsFile}") { Details = bad[1..Math.Min(bad.Length, MostErrors)] };
        }

        if (bad.Length == lines.Count)
        {
            throw new UserErrorException($"none of the pictures can be read; the first: {bad[0]}", "correct the files or their paths") { Details = bad[1..Math.Min(bad.Length, MostErrors)] };
        }

        if (bad.Length > 0)
        {
            warnings.Add(string.Create(CultureInfo.InvariantCulture, $"{bad.Length:N0} of {lines.Count:N0} pictures cannot be read and are left out"));
            warnings.AddRange(bad.Take(MostErrors).Select(static b => "left out: " + b));
        }

        return (pictures.Keep(i => problems[i] is null), [.. problems.Select(static p => p is null)], checksums);
    }

    private static void RequireMemory(int count, int size)
    {
        long needed = 3L * size * size * count;
        long there = GC.GetGCMemoryInfo().TotalAvailableMemoryBytes;
        if (needed > there / 10 * 8)
        {
            throw new UserErrorException(
                string.Create(CultureInfo.InvariantCulture, $"{count} pictures of {size} x {size} pixels take {needed >> 20} MB, and this machine has {there >> 20} MB"),
                "choose a smaller imageSize or fewer pictures");
        }
    }

    private static Concept[] MakeConcepts(string file, FolderLine[] lines, string[] languages, string splitSalt)
    {
        Dictionary<string, int> groups = new(StringComparer.Ordinal);
        Concept[] concepts = new Concept[lines.Length];
        for (int i = 0; i < lines.Length; i++)
        {
            FolderLine line = lines[i];
            Dictionary<string, ConceptCaptions> captions = line.Captions.ToDictionary(static c => c.Language, c => MakeCaptions(file, line, c.Language, c.Texts), StringComparer.Ordinal);
            int group = line.Group is null ? -1 : groups.TryGetValue(line.Group, out int known) ? known : groups[line.Group] = groups.Count;
            concepts[i] = new(
                line.Id,
                line.Split ?? ConceptHash.SplitOf(line.Id, splitSalt),
                nameHeldOut: false,
                [.. languages.Select(captions.GetValueOrDefault)],
                group,
                englishName: captions.GetValueOrDefault("en")?.Name,
                spanishName: captions.GetValueOrDefault("es")?.Name);
        }

        return concepts;
    }

    private static ConceptCaptions MakeCaptions(string file, FolderLine line, string language, IReadOnlyList<string> texts)
    {
        string[] normalized = [.. texts.Select(static t => CaptionText.Normalize(CaptionText.UnifyApostrophes(t)))];
        int empty = Array.IndexOf(normalized, string.Empty);
        return empty < 0
            ? new(normalized[0], texts[0], [], [.. normalized.Skip(1).Where(t => t != normalized[0]).Distinct(StringComparer.Ordinal)])
            : throw new UserErrorException(
                string.Create(CultureInfo.InvariantCulture, $"line {line.Number} of '{file}' has a caption in '{language}' that says nothing: \"{texts[empty]}\""), "write a caption or leave it out");
    }

    private static IEnumerable<string> GroupsOnBothSides(FolderLine[] lines, Concept[] concepts)
    {
        string[] mixed = [.. concepts
            .Select((concept, i) => (concept.Split, lines[i].Group))
            .Where(static c => c.Group is not null)
            .GroupBy(static c => c.Group!, StringComparer.Ordinal)
            .Where(static g => g.Select(static c => c.Split).Distinct().Count() > 1)
            .Select(static g => g.Key)];
        return mixed.Length == 0
            ? []
            : [string.Create(CultureInfo.InvariantCulture, $"{mixed.Length} groups lie in more than one split, so that what is tested was trained on ({string.Join(", ", mixed.Take(5))}); name their split")];
    }

    private static IEnumerable<string> UnknownKeys(List<FolderLine> lines) => lines
        .SelectMany(static l => l.UnknownKeys.Select(key => (key, l.Number)))
        .GroupBy(static k => k.key, StringComparer.Ordinal)
        .Select(static g => string.Create(CultureInfo.InvariantCulture, $"the key \"{g.Key}\" means nothing here ({g.Count()} lines, first in line {g.First().Number})"));
}
