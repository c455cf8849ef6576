using System.Text.Json;
using System.Text.Json.Nodes;
using CrossAlign.Models.Encoders;

namespace CrossAlign.Models.Checkpoints.Hub;

/// <summary>What a fetched folder holds: written last, so that a folder with it is complete.</summary>
/// <param name="Id">The model.</param>
/// <param name="Commit">Its commit.</param>
/// <param name="Licence">The licence of its card.</param>
/// <param name="Files">Its files with sizes and checksums.</param>
internal sealed record HubManifest(string Id, string Commit, string Licence, IReadOnlyList<HubFile> Files)
{
    /// <summary>The file's name in the folder.</summary>
    public const string FileName = "crossalign_hub.json";

    private const string Schema = "crossalign/hub/1";

    /// <summary>The size of all files.</summary>
    public long ByteCount => Files.Sum(f => f.ByteCount ?? 0);

    /// <summary>Reads a folder's manifest.</summary>
    /// <param name="folder">The folder.</param>
    /// <returns>The manifest; null where there is none, or a file of it is missing or of another size.</returns>
    public static HubManifest? ReadWhole(string folder)
    {
        string path = Path.Combine(folder, FileName);
        if (!File.Exists(path))
        {
            return null;
        }

        JsonObject json = EncoderConfigReader.ReadFile(path);
        try
        {
            HubManifest manifest = new(
                json["id"]!.GetValue<string>(),
                json["commit"]!.GetValue<string>(),
                json["licence"]!.GetValue<string>(),
                [.. json["files"]!.AsArray().Select(f => new HubFile(
                    f!["path"]!.GetValue<string>(), f["byteCount"]!.GetValue<long>(), f["sha256"]?.GetValue<string>(), f["gitSha1"]?.GetValue<string>()))]);
            return manifest.Files.All(f => new FileInfo(Path.Combine(folder, f.Path)) is { Exists: true } file && file.Length == f.ByteCount) ? manifest : null;
        }
        catch (Exception e) when (e is InvalidOperationException or NullReferenceException or FormatException or JsonException)
        {
            return null;
        }
    }

    /// <summary>Writes the manifest.</summary>
    /// <param name="folder">The folder.</param>
    public void Write(string folder) => CheckpointFolder.WriteJson(Path.Combine(folder, FileName), new JsonObject
    {
        ["schema"] = Schema,
        ["id"] = Id,
        ["commit"] = Commit,
        ["licence"] = Licence,
        ["files"] = new JsonArray([.. Files.Select(f => (JsonNode)new JsonObject
        {
            ["path"] = f.Path,
            ["byteCount"] = f.ByteCount,
            ["sha256"] = f.Sha256,
            ["gitSha1"] = f.GitSha1,
        })]),
    });
}
