using System.Globalization;
using System.Text;
using System.Text.Json;

namespace CrossAlign.Models.Data.Album;

/// <summary>One drawing style: an icon set in Iconify's JSON (<c>icons.json</c>, <c>chars.json</c>).</summary>
internal sealed class IconSet : IDisposable
{
    private readonly JsonDocument _document;
    private readonly JsonElement _icons;
    private readonly JsonElement _aliases;

    /// <summary>Opens a set.</summary>
    /// <param name="packageFolder">The package's folder.</param>
    /// <exception cref="UserErrorException">A file is missing or does not parse.</exception>
    internal IconSet(string packageFolder)
    {
        _document = AlbumJson.Open(Path.Combine(packageFolder, "icons.json"));
        _icons = _document.RootElement.GetProperty("icons");
        _document.RootElement.TryGetProperty("aliases", out _aliases);
    }

    /// <summary>
    /// The names by which sets may call an emoji, the surest first: what this set and then the others say of its code points, then
    /// CLDR's English name, Unicode's name and the names of chat programs.
    /// </summary>
    /// <param name="entry">The emoji.</param>
    /// <param name="englishName">CLDR's English name as written.</param>
    /// <param name="own">Names by code points of the set that is asked.</param>
    /// <param name="others">Those of the other sets.</param>
    internal static IEnumerable<string> CandidateNames(
        EmojiEntry entry,
        string englishName,
        IReadOnlyDictionary<string, List<string>> own,
        IEnumerable<IReadOnlyDictionary<string, List<string>>> others)
    {
        foreach (string name in own.GetValueOrDefault(entry.Code) ?? [])
        {
            yield return name;
        }

        yield return Slug(englishName);
        foreach (IReadOnlyDictionary<string, List<string>> other in others)
        {
            foreach (string name in other.GetValueOrDefault(entry.Code) ?? [])
            {
                yield return name;
            }
        }

        yield return Slug(entry.UnicodeName);
        foreach (string name in entry.ShortNames)
        {
            yield return name.Replace('_', '-');
        }
    }

    /// <summary>What a set calls code points.</summary>
    /// <param name="packageFolder">The package's folder.</param>
    /// <returns>Names by code points without FE0F; empty for a set that does not tell.</returns>
    internal static IReadOnlyDictionary<string, List<string>> ReadCharacters(string packageFolder)
    {
        string path = Path.Combine(packageFolder, "chars.json");
        Dictionary<string, List<string>> names = new(StringComparer.Ordinal);
        if (!File.Exists(path))
        {
            return names;
        }

        using JsonDocument document = AlbumJson.Open(path);
        foreach (JsonProperty entry in document.RootElement.EnumerateObject())
        {
            string code = EmojiList.WithoutVariationSelector(entry.Name);
            if (!names.TryGetValue(code, out List<string>? list))
            {
                names[code] = list = [];
            }

            list.Add(entry.Value.GetString()!);
        }

        return names;
    }

    /// <summary>Whether the set has an icon or alias of a name.</summary>
    internal bool Has(string name) =>
        _icons.TryGetProperty(name, out _) || (_aliases.ValueKind == JsonValueKind.Object && _aliases.TryGetProperty(name, out _));

    /// <summary>The drawing as a standalone SVG document.</summary>
    /// <param name="name">Name of an icon or alias.</param>
    /// <returns>The document.</returns>
    /// <exception cref="UserErrorException">The alias leads nowhere.</exception>
    internal string Svg(string name)
    {
        // Along a chain of aliases flips cancel and rotations add up, as Iconify merges them.
        bool hFlip = false;
        bool vFlip = false;
        int rotate = 0;
        string current = name;
        JsonElement icon;
        for (int depth = 0; !_icons.TryGetProperty(current, out icon); depth++)
        {
            if (depth > 16 || _aliases.ValueKind != JsonValueKind.Object || !_aliases.TryGetProperty(current, out JsonElement alias))
            {
                throw new UserErrorException($"the icon set has no drawing '{name}'", "delete the folder of the photo album in the cache and run again");
            }

            Merge(alias);
            current = alias.GetProperty("parent").GetString()!;
        }

        Merge(icon);
        double left = Number(icon, "left", 0);
        double top = Number(icon, "top", 0);
        double width = Number(icon, "width", 16);
        double height = Number(icon, "height", 16);
        string transform = Transform(ref left, ref top, ref width, ref height, hFlip, vFlip, rotate);
        string body = icon.GetProperty("body").GetString()!;
        if (transform.Length > 0)
        {
            body = $"<g transform=\"{transform}\">{body}</g>";
        }

        return string.Create(
            CultureInfo.InvariantCulture,
            $"<svg xmlns=\"http://www.w3.org/2000/svg\" xmlns:xlink=\"http://www.w3.org/1999/xlink\" width=\"{width}\" height=\"{height}\" viewBox=\"{left} {top} {width} {height}\">{body}</svg>");

        void Merge(JsonElement element)
        {
            hFlip ^= element.TryGetProperty("hFlip", out JsonElement h) && h.ValueKind == JsonValueKind.True;
            vFlip ^= element.TryGetProperty("vFlip", out JsonElement v) && v.ValueKind == JsonValueKind.True;
            rotate += element.TryGetProperty("rotate", out JsonElement r) ? r.GetInt32() : 0;
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _document.Dispose();

    /// <summary>A name as icon sets write it: letters and digits, all else to single hyphens, accents and apostrophes dropped.</summary>
    internal static string Slug(string name)
    {
        StringBuilder slug = new();
        foreach (char c in name.Normalize(NormalizationForm.FormKD).ToLowerInvariant().Replace("&", "and", StringComparison.Ordinal))
        {
            if (char.IsAsciiLetterOrDigit(c))
            {
                slug.Append(c);
            }
            else if (CharUnicodeInfo.GetUnicodeCategory(c) != UnicodeCategory.NonSpacingMark && !"'’“”!.:,()".Contains(c, StringComparison.Ordinal) && slug.Length > 0 && slug[^1] != '-')
            {
                slug.Append('-');
            }
        }

        return slug.ToString().TrimEnd('-');
    }

    private static string Transform(ref double left, ref double top, ref double width, ref double height, bool hFlip, bool vFlip, int rotate)
    {
        List<string> steps = [];
        if (hFlip && vFlip)
        {
            rotate += 2;
        }
        else if (hFlip)
        {
            steps.Add(string.Create(CultureInfo.InvariantCulture, $"translate({width + left} {0 - top}) scale(-1 1)"));
            (left, top) = (0, 0);
        }
        else if (vFlip)
        {
            steps.Add(string.Create(CultureInfo.InvariantCulture, $"translate({0 - left} {height + top}) scale(1 -1)"));
            (left, top) = (0, 0);
        }

        switch (((rotate % 4) + 4) % 4)
        {
            case 1:
                double down = (height / 2) + top;
                steps.Insert(0, string.Create(CultureInfo.InvariantCulture, $"rotate(90 {down} {down})"));
                (left, top, width, height) = (top, left, height, width);
                break;
            case 2:
                steps.Insert(0, string.Create(CultureInfo.InvariantCulture, $"rotate(180 {(width / 2) + left} {(height / 2) + top})"));
                break;
            case 3:
                double across = (width / 2) + left;
                steps.Insert(0, string.Create(CultureInfo.InvariantCulture, $"rotate(-90 {across} {across})"));
                (left, top, width, height) = (top, left, height, width);
                break;
        }

        return string.Join(' ', steps);
    }

    private double Number(JsonElement icon, string key, double otherwise)
    {
        if (icon.TryGetProperty(key, out JsonElement own))
        {
            return own.GetDouble();
        }

        return _document.RootElement.TryGetProperty(key, out JsonElement common) ? common.GetDouble() : otherwise;
    }
}
