using System.Text.Json;
using CrossAlign.Models.Data.Album;

namespace CrossAlign.Models.Data;

/// <summary>
/// The photo album: some 1,400 pictured concepts in seven drawing styles with short names and keywords that people wrote, in every
/// language in which Unicode's CLDR names at least 1,000 of them. Fetched with npm from pinned packages, checked, rendered once and kept
/// in a cache.
/// </summary>
public static class PhotoAlbum
{
    /// <summary>The data set's name, and that of its folder in the cache.</summary>
    public const string Name = "photo-album";

    /// <summary>The languages of the demo.</summary>
    public static IReadOnlyList<string> DefaultLanguages { get; } = ["en", "es", "ja", "hi", "qu"];

    /// <summary>The album's folder in a cache.</summary>
    /// <param name="cache">The value of <c>--cache</c>, or null.</param>
    /// <returns>A full path.</returns>
    public static string Folder(string? cache = null) => Path.Combine(CacheFolder.Resolve(cache), Name);

    /// <summary>Whether a whole album lies in the cache; every byte is checked.</summary>
    /// <param name="cache">The value of <c>--cache</c>, or null.</param>
    /// <returns>True where <see cref="Prepare"/> has nothing to do and needs neither npm nor a network.</returns>
    public static bool IsPrepared(string? cache = null) => ReadWhole(Folder(cache)) is not null;

    /// <summary>
    /// Makes sure that the album lies in the cache: fetches and renders what is missing or damaged, or does nothing. Two processes
    /// do not do it at once. Needs a network only where packages are missing.
    /// </summary>
    /// <param name="cache">The value of <c>--cache</c>, or null.</param>
    /// <param name="progress">Told how far it has come.</param>
    /// <param name="cancellationToken">Stops the work; what was finished stays and the rest is done next time.</param>
    /// <returns>What the album holds.</returns>
    /// <exception cref="UserErrorException">npm or Node.js is missing, the network or the disk fails, or the counts are not the published ones.</exception>
    /// <exception cref="OperationCanceledException">The work was stopped.</exception>
    public static PhotoAlbumSummary Prepare(string? cache = null, IProgress<DataProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        CaptionText.RequireUnicodeNormalization();
        string folder = Folder(cache);
        AlbumManifest? whole = ReadWhole(folder);
        if (whole is not null)
        {
            return whole.Summary;
        }

        try
        {
            Directory.CreateDirectory(folder);
            using FileStream guard = Lock(folder, progress, cancellationToken);
            whole = ReadWhole(folder);
            if (whole is not null)
            {
                return whole.Summary;
            }

            // Whatever is needed must be there before anything that may still be of use is removed.
            NpmPackages packages = new(Path.Combine(folder, "packages"));
            Require(folder);
            packages.Ensure(progress, cancellationToken);
            RemoveLeftovers(folder);
            NodeIconRenderer renderer = new(Path.Combine(folder, "packages"));
            return new AlbumBuilder(AlbumRecipe.Standard, packages.PathOf, renderer, progress).Build(folder, NpmPackages.LockChecksum, cancellationToken).Summary;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new UserErrorException($"the photo album could not be kept in '{folder}': {e.Message}", "free some space, or choose another folder with --cache", e);
        }
    }

    /// <summary>Loads the album, preparing it where needed.</summary>
    /// <param name="options">Languages (default: <see cref="DefaultLanguages"/>), picture size, split.</param>
    /// <param name="cache">The value of <c>--cache</c>, or null.</param>
    /// <param name="progress">Told how far a preparation has come.</param>
    /// <param name="cancellationToken">Stops a preparation.</param>
    /// <returns>The album.</returns>
    /// <exception cref="UserErrorException">As <see cref="Prepare"/>, or a language that the album has no captions in.</exception>
    /// <exception cref="OperationCanceledException">The work was stopped.</exception>
    public static CaptionedPictures Load(
        DataSetOptions options, string? cache = null, IProgress<DataProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(options);
        PhotoAlbumSummary summary = Prepare(cache, progress, cancellationToken);
        try
        {
            return AlbumReader.Read(Folder(cache), summary, options);
        }
        catch (Exception e) when (e is IOException or InvalidDataException or JsonException)
        {
            throw new UserErrorException($"the photo album changed while it was read: {e.Message}", "run again", e);
        }
    }

    /// <summary>Reads the manifest, and every file against it.</summary>
    private static AlbumManifest? ReadWhole(string folder)
    {
        AlbumManifest? manifest = AlbumManifest.TryRead(folder);
        return manifest is not null && manifest.Version == AlbumRecipe.Version && manifest.Lock == NpmPackages.LockChecksum
            && manifest.Files.All(f => IsSame(Path.Combine(folder, f.Key), f.Value)) ? manifest : null;

        static bool IsSame(string path, AlbumFile expected)
        {
            try
            {
                return File.Exists(path) && new FileInfo(path).Length == expected.ByteCount && AlbumBuilder.Measure(path) == expected;
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                // A file that cannot be read is as good as missing; making it anew gives the error if it stays so.
                return false;
            }
        }
    }

    /// <summary>Waits for the folder: one process prepares it, the others find it prepared.</summary>
    private static FileStream Lock(string folder, IProgress<DataProgress>? progress, CancellationToken cancellationToken)
    {
        string path = Path.Combine(folder, ".lock");
        bool told = false;
        for (; ; )
        {
            try
            {
                return new FileStream(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
            }
            catch (IOException) when (File.Exists(path))
            {
                // Held by another process, which lets go of it when it ends, in whatever way.
            }

            if (!told)
            {
                progress?.Report(new("waiting for another process that is preparing the photo album", null));
                told = true;
            }

            if (cancellationToken.WaitHandle.WaitOne(TimeSpan.FromMilliseconds(250)))
            {
                throw new OperationCanceledException(cancellationToken);
            }
        }
    }

    private static void Require(string folder)
    {
        try
        {
            _ = ExternalProgram.Find("node");
        }
        catch (UserErrorException e) when (File.Exists(Path.Combine(folder, AlbumManifest.FileName)))
        {
            throw new UserErrorException($"the album in '{folder}' is damaged or of another version, and to make it anew: {e.What}", e.Remedy, e);
        }
    }

    private static void RemoveLeftovers(string folder)
    {
        foreach (string temporary in Directory.EnumerateFiles(folder, "*.tmp", SearchOption.TopDirectoryOnly))
        {
            File.Delete(temporary);
        }

        string captions = Path.Combine(folder, AlbumBuilder.CaptionsFolder);
        NpmPackages.DeleteFolder(captions);
    }
}
