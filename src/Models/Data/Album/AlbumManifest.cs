using System.Text.Json;

namespace CrossAlign.Models.Data.Album;

/// <summary>What a prepared album consists of; written last, so that it stands for a whole album.</summary>
/// <param name="Version">Version of files and rules.</param>
/// <param name="Lock">Names the pinned packages.</param>
/// <param name="Files">Every file with its length and SHA-256.</param>
/// <param name="Summary">What was made.</param>
internal sealed record AlbumManifest(int Version, string Lock, IReadOnlyDictionary<string, AlbumFile> Files, PhotoAlbumSummary Summary)
{
    /// <summary>Its file name.</summary>
    internal const string FileName = "manifest.json";

    private static readonly JsonSerializerOptions s_options = new() { WriteIndented = true, PropertyNamingPolicy = JsonNamingPolicy.CamelCase };

    /// <summary>Reads a manifest.</summary>
    /// <param name="folder">The album's folder.</param>
    /// <returns>The manifest, or null where there is none that can be read.</returns>
    internal static AlbumManifest? TryRead(string folder)
    {
        try
        {
            return JsonSerializer.Deserialize<AlbumManifest>(File.ReadAllBytes(Path.Combine(folder, FileName)), s_options);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or JsonException)
        {
            // Missing or damaged alike: the album is prepared anew.
            return null;
        }
    }

    /// <summary>Writes the manifest.</summary>
    /// <param name="folder">The album's folder.</param>
    internal void Write(string folder) =>
        AtomicFile.Write(Path.Combine(folder, FileName), stream => JsonSerializer.Serialize(stream, this, s_options));
}

/// <summary>Length and checksum of a file.</summary>
internal sealed record AlbumFile(long ByteCount, string Sha256);
