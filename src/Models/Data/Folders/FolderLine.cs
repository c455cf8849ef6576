using System.Text.Json;

namespace CrossAlign.Models.Data.Folders;

/// <summary>One line of a folder's <c>captions.jsonl</c>, checked.</summary>
/// <param name="Number">Its place in the file, from 1.</param>
/// <param name="Image">Relative path of the picture.</param>
/// <param name="Id">Identifier of what it shows.</param>
/// <param name="Split">The split it names, or null.</param>
/// <param name="Group">The group it names, or null.</param>
/// <param name="Captions">Captions by language, as written; at least one.</param>
/// <param name="UnknownKeys">Keys that mean nothing here.</param>
internal sealed record FolderLine(
    int Number,
    string Image,
    string Id,
    DataSplit? Split,
    string? Group,
    IReadOnlyList<(string Language, IReadOnlyList<string> Texts)> Captions,
    IReadOnlyList<string> UnknownKeys)
{
    /// <summary>Reads a line.</summary>
    /// <param name="number">Its place in the file, from 1.</param>
    /// <param name="text">The line.</param>
    /// <returns>The line's content.</returns>
    /// <exception cref="FormatException">What is wrong with it, for people.</exception>
    internal static FolderLine Parse(int number, string text)
    {
        JsonDocument document;
        try
        {
            document = JsonDocument.Parse(text);
        }
        catch (JsonException e)
        {
            throw new FormatException($"is not JSON: {e.Message.Split(" LineNumber", 2)[0]}", e);
        }

        using (document)
        {
            JsonElement root = document.RootElement;
            if (root.ValueKind != JsonValueKind.Object)
            {
                throw new FormatException("is not a JSON object");
            }

            string? image = null;
            string? id = null;
            string? group = null;
            DataSplit? split = null;
            IReadOnlyList<(string, IReadOnlyList<string>)>? captions = null;
            List<string> unknown = [];
            foreach (JsonProperty property in root.EnumerateObject())
            {
                switch (property.Name)
                {
                    case "image":
                        image = RelativePath(Text(property));
                        break;
                    case "id":
                        id = Text(property);
                        break;
                    case "group":
                        group = Text(property);
                        break;
                    case "split":
                        split = SplitNamed(Text(property));
                        break;
                    case "captions":
                        captions = ReadCaptions(property.Value);
                        break;
                    default:
                        unknown.Add(property.Name);
                        break;
                }
            }

            return new(
                number,
                image ?? throw new FormatException("has no \"image\""),
                id ?? image,
                split,
                group,
                captions ?? throw new FormatException("has no \"captions\""),
                unknown);
        }
    }

    private static string Text(JsonProperty property) =>
        property.Value.ValueKind == JsonValueKind.String && property.Value.GetString() is { Length: > 0 } text
            ? text
            : throw new FormatException($"has a \"{property.Name}\" that is not a text");

    /// <summary>A path that stays in the folder: nobody expects a data set to read elsewhere.</summary>
    private static string RelativePath(string path)
    {
        bool leaves = Path.IsPathRooted(path) || path.Contains('\0', StringComparison.Ordinal)
            || path.Split('/', '\\').Any(static part => part == "..") || (path.Length > 1 && path[1] == ':');
        return leaves ? throw new FormatException($"names the picture '{path}' outside the folder") : path;
    }

    private static DataSplit SplitNamed(string name) => name switch
    {
        "train" => DataSplit.Train,
        "validation" => DataSplit.Validation,
        "test" => DataSplit.Test,
        _ => throw new FormatException($"has the split '{name}', which is none of train, validation, test"),
    };

    private static List<(string, IReadOnlyList<string>)> ReadCaptions(JsonElement element)
    {
        if (element.ValueKind != JsonValueKind.Object)
        {
            throw new FormatException("has \"captions\" that are not an object of languages");
        }

        List<(string, IReadOnlyList<string>)> captions = [];
        foreach (JsonProperty language in element.EnumerateObject())
        {
            IEnumerable<JsonElement> items = language.Value.ValueKind == JsonValueKind.Array ? language.Value.EnumerateArray() : [language.Value];
            List<string> texts = [];
            foreach (JsonElement item in items)
            {
                texts.Add(item.ValueKind == JsonValueKind.String
                    ? item.GetString()!
                    : throw new FormatException($"has a caption in '{language.Name}' that is not a text"));
            }

            if (language.Name.Length == 0 || captions.Any(c => c.Item1 == language.Name))
            {
                throw new FormatException($"names the language '{language.Name}' twice or not at all");
            }

            if (texts.Count > 0)
            {
                captions.Add((language.Name, texts));
            }
        }

        return captions.Count > 0 ? captions : throw new FormatException("has no caption in any language");
    }
}
