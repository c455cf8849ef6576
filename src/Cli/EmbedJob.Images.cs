using System.Globalization;
using System.IO.Enumeration;
using CrossAlign.Models;
using CrossAlign.Models.Checkpoints;
using CrossAlign.Models.Encoders;
using CrossAlign.Models.Images;

namespace CrossAlign.Cli;

/// <content>Picture files, the rows of the output, and what was left out.</content>
internal sealed partial class EmbedJob
{
    // Enough to keep every thread decoding, few enough to stay out of the way of memory.
    private const int WindowPictures = 64;

    private const int MostShown = 20;

    private readonly List<(string Key, string NameJson, UserErrorException Error)> _skipped = [];
    private long _notFinite;

    /// <summary>Embeds the pictures of a folder.</summary>
    public void EmbedImages(string folder, CancellationToken cancellation)
    {
        ImageTower tower = _model.Image ?? throw new UserErrorException("the model has no image tower", "name the folder of an image tower or of a two-tower model");
        ImagePreprocessor preprocessor = _request.Source.ReadPreprocessor(tower.Config, out string from);
        _terminal.Say($"pictures are prepared as in {from}");
        string[] files = FilesOf(folder);
        if (files.Length == 0)
        {
            throw new UserErrorException($"the folder '{folder}' holds no file", "give a folder of PNG and JPEG files");
        }

        bool normalize = NormalizesPictures();

        // The model is the job's to dispose of, not the embedder's.
        ImageEmbedder embedder = new(_model, preprocessor, new ImageEmbedderOptions
        {
            Pooling = PicturePooling(),
            Normalize = normalize,
            Project = _request.Project,
            BatchTokens = _request.BatchTokens,
        });
        _progress = StartProgress();
        Write(embedder.Width, Metadata(embedder.Pooling, normalize, string.Empty), (output, ids) =>
        {
            foreach (string[] window in files.Chunk(WindowPictures))
            {
                List<(string File, PreparedImage Image)> good = Prepare(embedder, folder, window, cancellation);
                float[] vectors = new float[good.Count * embedder.Width];
                embedder.EmbedPrepared([.. good.Select(g => g.Image)], vectors, _progress.Advance, cancellation);
                AddRows(output, ids, vectors, embedder.Width, good.Count, i => JsonOf(good[i].File), i => (good[i].Image.TokenCount, false), "picture", "path");
            }
        });
        Finish(embedder.Width, "pictures");
    }

    // Relative paths with / on every system, in ordinal order; folders behind links are not entered.
    private static string[] FilesOf(string folder)
    {
        EnumerationOptions options = new() { RecurseSubdirectories = true, AttributesToSkip = FileAttributes.Hidden | FileAttributes.System, IgnoreInaccessible = false };
        FileSystemEnumerable<string> found = new(folder, static (ref FileSystemEntry entry) => entry.ToFullPath(), options)
        {
            ShouldIncludePredicate = static (ref FileSystemEntry entry) => !entry.IsDirectory,
            ShouldRecursePredicate = static (ref FileSystemEntry entry) => (entry.Attributes & FileAttributes.ReparsePoint) == 0,
        };
        try
        {
            return [.. found.Select(f => Path.GetRelativePath(folder, f).Replace('\\', '/')).Order(StringComparer.Ordinal)];
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new UserErrorException($"the folder '{folder}' cannot be read: {e.Message}", "check its permissions", e);
        }
    }

    private static string JsonOf(string text)
    {
        using JsonLine line = new();
        return line.Text(json => json.WriteStringValue(text));
    }

    private List<(string File, PreparedImage Image)> Prepare(ImageEmbedder embedder, string folder, string[] files, CancellationToken cancellation)
    {
        PreparedImage?[] images = new PreparedImage?[files.Length];
        UserErrorException?[] errors = new UserErrorException?[files.Length];
        Parallel.For(0, files.Length, new ParallelOptions { CancellationToken = cancellation, MaxDegreeOfParallelism = Environment.ProcessorCount }, i =>
        {
            try
            {
                images[i] = embedder.PrepareFile(Path.Combine(folder, files[i]));
            }
            catch (UserErrorException e)
            {
                errors[i] = e;
            }
        });
        List<(string, PreparedImage)> good = [];
        for (int i = 0; i < files.Length; i++)
        {
            if (images[i] is { } image)
            {
                good.Add((files[i], image));
            }
            else if (_request.SkipBad)
            {
                Skip("path", JsonOf(files[i]), errors[i]!);
            }
            else
            {
                throw new UserErrorException(errors[i]!.What, $"{errors[i]!.Remedy}, or leave such pictures out with --skip-bad", errors[i]);
            }
        }

        return good;
    }

    // A vector with NaN or infinity in it is no embedding: it is refused, or left out with the other bad ones.
    private void AddRows(
        EmbeddingFile output, Stream ids, Span<float> vectors, int width, int count, Func<int, string> idJson, Func<int, (int Tokens, bool Truncated)> row, string what, string key)
    {
        long first = output.Rows;
        int kept = 0;
        for (int i = 0; i < count; i++)
        {
            Span<float> vector = vectors.Slice(i * width, width);
            (int tokens, bool truncated) = row(i);
            if (IsFinite(vector))
            {
                vector.CopyTo(vectors.Slice(kept * width, width));
                WriteId(ids, first + kept++, idJson(i), tokens, truncated, key);
                continue;
            }

            UserErrorException error = new(
                $"the vector of {what} {idJson(i)} is not finite", "check the checkpoint's weights for NaN and infinity, and try --precision f32; --skip-bad leaves such rows out and lists them");
            if (!_request.SkipBad)
            {
                throw error;
            }

            _notFinite++;
            Skip(key, idJson(i), error);
        }

        output.Add(vectors[..(kept * width)]);
    }

    private static bool IsFinite(ReadOnlySpan<float> vector)
    {
        foreach (float x in vector)
        {
            if (!float.IsFinite(x))
            {
                return false;
            }
        }

        return true;
    }

    private void Skip(string key, string nameJson, UserErrorException error)
    {
        _skipped.Add((key, nameJson, error));
        if (_skipped.Count <= MostShown)
        {
            _terminal.Say($"skipped: {error.What}");
        }
    }

    private void SaySkipped(string what)
    {
        if (_skipped.Count > 0)
        {
            _terminal.Say(string.Create(CultureInfo.InvariantCulture, $"warning: {_skipped.Count} {what} were skipped; {_request.Output}.skipped.jsonl lists them"));
        }
    }

    private void WriteSkipped(Stream stream)
    {
        foreach ((string key, string nameJson, UserErrorException error) in _skipped)
        {
            stream.Write(_line.Utf8(json =>
            {
                json.WriteStartObject();
                json.WritePropertyName(key);
                json.WriteRawValue(nameJson);
                json.WriteString("error", error.What);
                json.WriteEndObject();
            }));
            stream.WriteByte((byte)'\n');
        }
    }
}
