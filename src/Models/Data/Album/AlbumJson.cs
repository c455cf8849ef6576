using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Unicode;

namespace CrossAlign.Models.Data.Album;

/// <summary>Opens the packages' JSON files, and names a file that does not parse.</summary>
internal static class AlbumJson
{
    /// <summary>How the album's own files are written: every script readable, one object a line.</summary>
    internal static readonly JsonWriterOptions WriterOptions = new() { Encoder = JavaScriptEncoder.Create(UnicodeRanges.All) };

    /// <summary>Opens a file.</summary>
    /// <exception cref="UserErrorException">It is missing or not JSON.</exception>
    internal static JsonDocument Open(string path)
    {
        try
        {
            return JsonDocument.Parse(File.ReadAllBytes(path));
        }
        catch (Exception e) when (e is JsonException or IOException or UnauthorizedAccessException)
        {
            throw new UserErrorException($"'{path}' could not be read: {e.Message}", "delete the folder of the photo album in the cache and run again", e);
        }
    }
}
