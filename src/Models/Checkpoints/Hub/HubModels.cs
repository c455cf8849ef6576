using System.Globalization;
using CrossAlign.Models.Data;

namespace CrossAlign.Models.Checkpoints.Hub;

/// <summary>
/// Models of the public hub in the cache: <c>models/ORGANISATION/NAME/COMMIT</c>, whole or not there. Fetching asks the hub; everything else
/// works without a network.
/// </summary>
public static class HubModels
{
    private const string ModelsFolder = "models";
    private const string ReferencesFolder = "refs";
    private const string PartialSuffix = ".partial";
    private const string LockName = ".lock";

    /// <summary>Fetches a model: what has come before is kept, sizes and checksums are the hub's, the folder appears when it is complete.</summary>
    /// <param name="name">The model.</param>
    /// <param name="cache">The value of <c>--cache</c>, or null.</param>
    /// <param name="options">Where the hub is; null: as the environment says.</param>
    /// <param name="progress">Told how far it has come.</param>
    /// <param name="cancellationToken">Stops the work; what has come is kept.</param>
    /// <returns>The model. Where the hub does not answer, or not as a hub does, and the cache has the model, that, with a warning.</returns>
    /// <exception cref="UserErrorException">There is no such model, it may not be read, has no safetensors, or comes with other bytes than the hub says.</exception>
    /// <exception cref="OperationCanceledException">The work was stopped.</exception>
    public static async Task<HubModel> FetchAsync(
        HubModelName name, string? cache = null, HubOptions? options = null, IProgress<DataProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(name);
        options ??= HubOptions.FromEnvironment();
        using HubClient client = new(options, name, progress);
        progress?.Report(new($"asking {options.Endpoint.Host} for {name}", null));
        HubListing listing;
        HubModel? known = Find(name, cache);
        try
        {
            // With a copy at hand there is no need for patience.
            using HubClient asking = new(known is null ? options : options with { Attempts = 1 }, name, progress);
            listing = await HubListing.ReadAsync(asking, name, cancellationToken).ConfigureAwait(false);
        }
        catch (UserErrorException e) when (known is not null && e.InnerException is not null)
        {
            // No answer, or none that is the hub's. A refusal has no other exception behind it.
            return known with { Warning = $"{e.What}; what is in the cache is taken" };
        }

        string root = RootOf(name, cache);
        string folder = Path.Combine(root, Escape(listing.Commit));
        if (HubManifest.ReadWhole(folder) is HubManifest there)
        {
            WriteReference(root, name, listing.Commit);
            return new(name, there.Commit, folder, there.ByteCount, there.Licence, 0, string.Empty);
        }

        string partial = folder + PartialSuffix;
        using FileStream claim = Claim(partial, name);
        TakeBack(folder, partial);
        (HubManifest manifest, long fetched) = await FillAsync(client, options, name, listing, partial, progress, cancellationToken).ConfigureAwait(false);
        manifest.Write(partial);
        claim.Dispose();
        Directory.Move(partial, folder);
        WriteReference(root, name, listing.Commit);
        return new(name, listing.Commit, folder, manifest.ByteCount, manifest.Licence, fetched, string.Empty);
    }

    /// <summary>Looks for a model in the cache, without a network.</summary>
    /// <param name="name">The model.</param>
    /// <param name="cache">The value of <c>--cache</c>, or null.</param>
    /// <returns>The model; null where it was not fetched.</returns>
    public static HubModel? Find(HubModelName name, string? cache = null)
    {
        ArgumentNullException.ThrowIfNull(name);
        string root = RootOf(name, cache);
        string reference = ReferenceOf(root, name);
        string commit = File.Exists(reference) ? File.ReadAllText(reference).Trim() : name.Revision;
        string folder = Path.Combine(root, Escape(commit));
        return HubManifest.ReadWhole(folder) is HubManifest manifest ? new(name, manifest.Commit, folder, manifest.ByteCount, manifest.Licence, 0, string.Empty) : null;
    }

    /// <summary>All models of the cache.</summary>
    /// <param name="cache">The value of <c>--cache</c>, or null.</param>
    /// <returns>The models, by name.</returns>
    public static IReadOnlyList<HubModel> List(string? cache = null)
    {
        string models = Path.Combine(CacheFolder.Resolve(cache), ModelsFolder);
        if (!Directory.Exists(models))
        {
            return [];
        }

        return [.. Directory.EnumerateFiles(models, "*", SearchOption.AllDirectories)
            .Select(f => Path.GetRelativePath(models, f).Split(Path.DirectorySeparatorChar))
            .Where(p => p.Length == 4 && p[2] == ReferencesFolder)
            .Select(p => HubModelName.TryParse($"{p[0]}/{p[1]}@{Uri.UnescapeDataString(p[3])}", out HubModelName? name) ? Find(name, cache) : null)
            .OfType<HubModel>()
            .OrderBy(m => m.Name.ToString(), StringComparer.Ordinal)];
    }

    /// <summary>The model that a folder of a cache belongs to, by its path: the folder itself may be gone.</summary>
    /// <param name="folder">Any folder.</param>
    /// <returns><c>ORGANISATION/NAME</c>, or null where the path is none of a cache's.</returns>
    public static string? IdOf(string folder)
    {
        string[] parts = Path.TrimEndingDirectorySeparator(Path.GetFullPath(folder)).Split(Path.DirectorySeparatorChar);
        return parts is [.., ModelsFolder, string organisation, string name, string commit] && commit.Length == 40 && commit.All(char.IsAsciiHexDigit)
            ? $"{organisation}/{name}"
            : null;
    }

    private static async Task<(HubManifest Manifest, long Fetched)> FillAsync(
        HubClient client, HubOptions options, HubModelName name, HubListing listing, string partial, IProgress<DataProgress>? progress, CancellationToken cancellationToken)
    {
        long total = listing.Files.Sum(f => f.ByteCount ?? 0);
        RequireRoom(partial, total);
        long come = 0;
        long fetched = 0;
        string activity = string.Empty;
        HubDownload download = new(client, options, count =>
        {
            come += count;
            progress?.Report(new(activity, total == 0 ? null : Math.Clamp((double)come / total, 0, 1)));
        });
        List<HubFile> files = [];

        // The index of shards first: what it names is known before gigabytes have come.
        Queue<HubFile> queue = new(listing.Files.OrderBy(f => IsIndex(f) ? 0 : 1));
        while (queue.TryDequeue(out HubFile? file))
        {
            activity = string.Create(CultureInfo.InvariantCulture, $"fetching {file.Path}{(file.ByteCount is long size ? $" ({size / 1e6:F1} MB)" : string.Empty)}");
            Uri uri = client.At($"{name.Id}/resolve/{Uri.EscapeDataString(listing.Commit)}/{file.Path}");
            string path = Path.Combine(partial, Path.Combine(file.Path.Split('/')));
            (HubFile whole, long count) = await download.FetchAsync(file, uri, path, cancellationToken).ConfigureAwait(false);
            fetched += count;
            files.Add(whole with { ByteCount = new FileInfo(path).Length });
            if (IsIndex(file))
            {
                RequireShards(name, listing, file.Path, CheckpointTensors.ShardsOf(path));
            }
        }

        return (new HubManifest(name.Id, listing.Commit, listing.Licence, [.. files.OrderBy(f => f.Path, StringComparer.Ordinal)]), fetched);

        static bool IsIndex(HubFile file) => file.Path.EndsWith(CheckpointTensors.IndexName, StringComparison.Ordinal);
    }

    private static void RequireShards(HubModelName name, HubListing listing, string index, IEnumerable<string> shards)
    {
        string folder = index[..^CheckpointTensors.IndexName.Length];
        string[] missing = [.. shards.Where(s => listing.Files.All(f => f.Path != folder + s))];
        if (missing.Length > 0)
        {
            throw new UserErrorException($"model '{name}' has no {string.Join(", ", missing)}, which its {index} names", "ask its owner: the checkpoint is not whole");
        }
    }

    // Two programs that write into one folder would mix their bytes.
    private static FileStream Claim(string partial, HubModelName name)
    {
        try
        {
            Directory.CreateDirectory(partial);
            return new FileStream(Path.Combine(partial, LockName), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None, 1, FileOptions.DeleteOnClose);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new UserErrorException($"'{partial}' cannot be written, or another program is fetching {name} into it: {e.Message}", "wait for that, or choose another cache with --cache", e);
        }
    }

    // A folder that was complete and lost a file since: what is left of it need not come again.
    private static void TakeBack(string folder, string partial)
    {
        if (!Directory.Exists(folder))
        {
            return;
        }

        foreach (string file in Directory.EnumerateFiles(folder, "*", SearchOption.AllDirectories))
        {
            string to = Path.Combine(partial, Path.GetRelativePath(folder, file));
            Directory.CreateDirectory(Path.GetDirectoryName(to)!);
            File.Move(file, to, overwrite: true);
        }

        Directory.Delete(folder, recursive: true);
        File.Delete(Path.Combine(partial, HubManifest.FileName));
    }

    private static void RequireRoom(string partial, long total)
    {
        long there = Directory.EnumerateFiles(partial, "*", SearchOption.AllDirectories).Sum(f => new FileInfo(f).Length);
        long free = new DriveInfo(Path.GetFullPath(partial)).AvailableFreeSpace;
        if (total - there > free)
        {
            throw new UserErrorException(
                string.Create(CultureInfo.InvariantCulture, $"the model needs {(total - there) / 1e6:F0} MB, and '{partial}' has room for {free / 1e6:F0} MB"),
                "free some space or choose another cache with --cache");
        }
    }

    private static void WriteReference(string root, HubModelName name, string commit)
    {
        string reference = ReferenceOf(root, name);
        if (!File.Exists(reference) || File.ReadAllText(reference).Trim() != commit)
        {
            AtomicFile.WriteText(reference, commit + "\n");
        }
    }

    private static string RootOf(HubModelName name, string? cache) => Path.Combine(CacheFolder.Resolve(cache), ModelsFolder, Path.Combine(name.Id.Split('/')));

    private static string ReferenceOf(string root, HubModelName name) => Path.Combine(root, ReferencesFolder, Escape(name.Revision));

    // A branch such as feature/x is one name here.
    private static string Escape(string revision) => Uri.EscapeDataString(revision);
}
