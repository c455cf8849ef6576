using System.Globalization;
using System.Text.Json;

namespace CrossAlign.Models.Tokenization;

/// <summary>Reads the parts of a JSON file, each by name, with errors that say the file, the place and what stands there.</summary>
/// <param name="name">The file's name.</param>
internal abstract class JsonFileReader(string name)
{
    /// <summary>What to do about a damaged file.</summary>
    protected const string Damaged = "download or export the file again";

    /// <summary>What to do about a part that is not supported.</summary>
    protected const string Supported = "use a tokenizer.json of XLM-R's, BERT's or CLIP's kind, a sentencepiece.bpe.model, or one that this program trained";

    /// <summary>The file's name.</summary>
    protected string Name { get; } = name;

    /// <summary>A text of one UTF-16 code unit.</summary>
    protected char Character(JsonElement element, string place)
    {
        string text = Text(element, place);
        return text.Length == 1 ? text[0] : throw Bad($"{place} is not one character");
    }

    /// <summary>A member that must be there.</summary>
    protected JsonElement Child(JsonElement element, string key, string place)
    {
        Require(element, JsonValueKind.Object, place);
        return element.TryGetProperty(key, out JsonElement value) ? value : throw Bad($"{place} has no '{key}'");
    }

    /// <summary>A member, or null where it is absent or null.</summary>
    protected JsonElement? Optional(JsonElement element, string key)
    {
        Require(element, JsonValueKind.Object, $"what should hold '{key}'");
        return element.TryGetProperty(key, out JsonElement value) && value.ValueKind != JsonValueKind.Null ? value : null;
    }

    /// <summary>A text, empty where it is absent or null.</summary>
    protected string OptionalText(JsonElement element, string key) => Optional(element, key) is JsonElement value ? Text(value, key) : "";

    /// <summary>A truth value.</summary>
    protected bool Flag(JsonElement element, string key, bool absent) => Optional(element, key) is not JsonElement value
        ? absent
        : value.ValueKind switch
        {
            JsonValueKind.True => true,
            JsonValueKind.False => false,
            _ => throw Bad($"'{key}' is neither true nor false"),
        };

    /// <summary>A text.</summary>
    protected string Text(JsonElement element, string place)
    {
        Require(element, JsonValueKind.String, place);
        try
        {
            return element.GetString()!;
        }
        catch (InvalidOperationException e)
        {
            // Half of a surrogate pair, written as \uD800.
            throw new UserErrorException($"'{Name}': {place} is not valid Unicode: {Excerpt(element)}", Damaged, e);
        }
    }

    /// <summary>A whole number that may be an id.</summary>
    protected int Id(JsonElement element, string place) =>
        element.ValueKind == JsonValueKind.Number && element.TryGetInt32(out int id) && id is >= 0 and < 1 << 24
            ? id
            : throw Bad(string.Create(CultureInfo.InvariantCulture, $"{place} has {Excerpt(element)} where an id belongs"));

    /// <summary>The items of a list.</summary>
    protected JsonElement.ArrayEnumerator Items(JsonElement element, string place)
    {
        Require(element, JsonValueKind.Array, place);
        return element.EnumerateArray();
    }

    /// <summary>Refuses a value of another kind.</summary>
    protected void Require(JsonElement element, JsonValueKind kind, string place)
    {
        if (element.ValueKind != kind)
        {
            throw Bad($"{place} is {Excerpt(element)}, not {kind switch { JsonValueKind.Object => "an object", JsonValueKind.Array => "a list", _ => "a text" }}");
        }
    }

    /// <summary>The beginning of a value as it is written, for messages.</summary>
    protected static string Excerpt(JsonElement element)
    {
        string raw = element.GetRawText();
        return raw.Length <= 40 ? raw : raw[..40] + "...";
    }

    /// <summary>An error about what is wrong with the file.</summary>
    protected UserErrorException Bad(string what) => new($"'{Name}': {what}", Damaged);

    /// <summary>An error about a part that is not supported.</summary>
    protected UserErrorException Unsupported(string place, string type) =>
        new($"'{Name}': {place} has the type '{type}', which is not supported", Supported);
}
