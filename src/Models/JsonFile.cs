using System.Text.Json;
using System.Text.Json.Nodes;

namespace CrossAlign.Models;

/// <summary>
/// Reads JSON files that others have written. Whatever a file holds, the outcome is JSON whose keys are there once and whose strings
/// are sound, or an error that names the file and the place.
/// </summary>
internal static class JsonFile
{
    // The largest published files of this kind (indices of shards, configurations with thousands of labels) stay below 1 MiB.
    private const long LargestByteCount = 64L << 20;

    private static readonly JsonDocumentOptions s_options = new() { MaxDepth = 64, AllowDuplicateProperties = false };

    /// <summary>Reads a file that holds an object.</summary>
    /// <param name="path">The file.</param>
    /// <param name="remedy">What to do about one that cannot be read.</param>
    /// <returns>The object.</returns>
    /// <exception cref="UserErrorException">The file cannot be read, is not sound, or holds something else.</exception>
    public static JsonObject ReadObject(string path, string remedy) =>
        Read(path, remedy) as JsonObject ?? throw new UserErrorException($"'{path}' holds no JSON object", remedy);

    /// <summary>Reads a file that holds a list.</summary>
    /// <param name="path">The file.</param>
    /// <param name="remedy">What to do about one that cannot be read.</param>
    /// <returns>The list.</returns>
    /// <exception cref="UserErrorException">The file cannot be read, is not sound, or holds something else.</exception>
    public static JsonArray ReadArray(string path, string remedy) =>
        Read(path, remedy) as JsonArray ?? throw new UserErrorException($"'{path}' holds no JSON list", remedy);

    private static JsonNode? Read(string path, string remedy)
    {
        try
        {
            FileInfo info = new(path);
            if (info.Exists && info.Length > LargestByteCount)
            {
                throw new UserErrorException(FormattableString.Invariant($"'{path}' has {info.Length >> 20} MiB, more than any such file"), remedy);
            }

            JsonNode? node = JsonNode.Parse(File.ReadAllBytes(path), documentOptions: s_options);
            CheckStrings(node, path, remedy);
            return node;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new UserErrorException($"'{path}' could not be read: {e.Message}", remedy, e);
        }
        catch (Exception e) when (e is JsonException or ArgumentException)
        {
            throw new UserErrorException($"'{path}' is not JSON: {e.Message}", remedy, e);
        }
        catch (InvalidOperationException e)
        {
            // A key that is written with half of a surrogate pair.
            throw new UserErrorException($"'{path}' has a key that is not valid Unicode", remedy, e);
        }
    }

    // A string may be written as \uD800, which is no text: found here, where the place is known, and not wherever it is read.
    private static void CheckStrings(JsonNode? node, string path, string remedy)
    {
        switch (node)
        {
            case JsonObject items:
                foreach ((_, JsonNode? item) in items)
                {
                    CheckStrings(item, path, remedy);
                }

                break;
            case JsonArray items:
                foreach (JsonNode? item in items)
                {
                    CheckStrings(item, path, remedy);
                }

                break;
            case JsonValue value when value.GetValueKind() == JsonValueKind.String:
                try
                {
                    value.GetValue<string>();
                }
                catch (InvalidOperationException e)
                {
                    throw new UserErrorException($"'{path}': {value.GetPath().TrimStart('$', '.')} is not valid Unicode", remedy, e);
                }

                break;
        }
    }
}
