using System.Text.Json;

namespace CrossAlign.Models.Data.Album;

/// <summary>What CLDR says of an emoji in one language, as written but for one kind of apostrophe.</summary>
/// <param name="Name">The short name, or null.</param>
/// <param name="Keywords">The keywords.</param>
internal sealed record Annotation(string? Name, IReadOnlyList<string> Keywords);

/// <summary>
/// Reads <c>cldr-annotations-full</c>. A sub-locale (<c>es-MX</c>) holds only what differs and is laid over its parent; a variant in
/// another script (<c>zh-Hant</c>) stands alone.
/// </summary>
internal sealed class CldrAnnotations
{
    /// <summary>CLDR's exceptions to "cut the last part off" (its <c>parentLocales</c>) among the locales of the package; empty = none.</summary>
    private static readonly Dictionary<string, string> s_parents = new(StringComparer.Ordinal)
    {
        ["es-MX"] = "es-419",
        ["es-US"] = "es-419",
        ["en-AU"] = "en-001",
        ["en-GB"] = "en-001",
        ["en-IN"] = "en-001",
        ["ff-Adlm"] = string.Empty,
        ["hi-Latn"] = string.Empty,
        ["kk-Arab"] = string.Empty,
        ["pa-Arab"] = string.Empty,
        ["sr-Latn"] = string.Empty,
        ["yue-Hans"] = string.Empty,
        ["zh-Hant"] = string.Empty,
    };

    private readonly string _folder;

    /// <summary>Opens the package.</summary>
    /// <param name="packageFolder">The package's folder.</param>
    internal CldrAnnotations(string packageFolder) => _folder = Path.Combine(packageFolder, "annotations");

    /// <summary>Every locale the package has a folder for, in ordinal order.</summary>
    internal IReadOnlyList<string> Locales() =>
        [.. Directory.EnumerateDirectories(_folder).Select(static d => Path.GetFileName(d)!).Order(StringComparer.Ordinal)];

    /// <summary>Reads a locale, laid over its parents.</summary>
    /// <param name="locale">Its code.</param>
    /// <returns>Annotations by emoji without U+FE0F.</returns>
    /// <exception cref="UserErrorException">A file is missing or does not parse.</exception>
    internal IReadOnlyDictionary<string, Annotation> Read(string locale)
    {
        Dictionary<string, Annotation> annotations = new(StringComparer.Ordinal);
        foreach (string part in Chain(locale))
        {
            string path = Path.Combine(_folder, part, "annotations.json");
            if (part != locale && !File.Exists(path))
            {
                // The parent of a sub-locale need not have a file of its own.
                continue;
            }

            using JsonDocument document = AlbumJson.Open(path);
            if (!document.RootElement.TryGetProperty("annotations", out JsonElement outer) || !outer.TryGetProperty("annotations", out JsonElement entries))
            {
                continue;
            }

            foreach (JsonProperty entry in entries.EnumerateObject())
            {
                annotations.TryGetValue(entry.Name, out Annotation? below);
                string? name = First(entry.Value, "tts") ?? below?.Name;
                IReadOnlyList<string> keywords = Strings(entry.Value, "default") ?? below?.Keywords ?? [];
                annotations[entry.Name] = new(name, keywords);
            }
        }

        return annotations;
    }

    /// <summary>The files that are laid over one another, the most general first.</summary>
    internal static IReadOnlyList<string> Chain(string locale)
    {
        List<string> chain = [];
        for (string current = locale; current.Length > 0; current = Parent(current))
        {
            chain.Insert(0, current);
        }

        return chain;

        static string Parent(string code)
        {
            if (s_parents.TryGetValue(code, out string? parent))
            {
                return parent;
            }

            int cut = code.LastIndexOf('-');
            return cut < 0 ? string.Empty : code[..cut];
        }
    }

    private static string? First(JsonElement entry, string key) => Strings(entry, key) is { Count: > 0 } all ? all[0] : null;

    private static List<string>? Strings(JsonElement entry, string key) =>
        entry.TryGetProperty(key, out JsonElement list) ? [.. list.EnumerateArray().Select(static s => CaptionText.UnifyApostrophes(s.GetString()!))] : null;
}
