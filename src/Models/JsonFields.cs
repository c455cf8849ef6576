using System.Text.Json;
using System.Text.Json.Nodes;
using CrossAlign.Kernels;

namespace CrossAlign.Models;

/// <summary>The keys of a JSON object that a model's folder holds, each checked as it is read. A key that is absent or null has its default.</summary>
/// <param name="json">The object.</param>
/// <param name="source">Where it comes from, for messages.</param>
internal readonly struct JsonFields(JsonObject json, string source)
{
    /// <summary>Larger than any size of a published tower, small enough that no product of sizes overflows.</summary>
    public const int LargestSize = 1 << 22;

    /// <summary>More blocks than any published encoder has.</summary>
    public const int MostLayers = 4096;

    // A side of a picture: its square is a number of patches.
    private const int LargestSide = 1 << 14;
    private const int ShownCharacters = 60;

    private readonly JsonObject _json = json;
    private readonly string _source = source;

    /// <summary>The keys.</summary>
    public IEnumerable<string> Keys => _json.Select(p => p.Key);

    /// <summary>Whether the key is there and not null.</summary>
    public bool Has(string key) => _json[key] is not null;

    /// <summary>The fields of an object that must be there.</summary>
    public JsonFields Object(string key) => _json[key] is JsonObject nested ? new JsonFields(nested, $"{_source}, {key}") : throw Wrong(key, "an object");

    /// <summary>A text.</summary>
    public string Text(string key, string fallback) => OptionalText(key) ?? fallback;

    /// <summary>A text, or null.</summary>
    public string? OptionalText(string key) => _json[key] switch
    {
        null => null,
        JsonValue value when value.TryGetValue(out string? text) => text,
        _ => throw Wrong(key, "a text"),
    };

    /// <summary>True or false.</summary>
    public bool Flag(string key, bool fallback) => _json[key] switch
    {
        null => fallback,
        JsonValue value when value.TryGetValue(out bool flag) => flag,
        _ => throw Wrong(key, "true or false"),
    };

    /// <summary>A whole number from 1.</summary>
    public int Size(string key, int fallback, int largest = LargestSize) => Whole(key, fallback, 1, largest) ?? throw Wrong(key, $"a size{UpTo(largest)}");

    /// <summary>A whole number from 1, or null.</summary>
    public int? OptionalSize(string key, int largest = LargestSize) => Has(key) ? Size(key, 1, largest) : null;

    /// <summary>Any number, or null.</summary>
    public double? OptionalNumber(string key) => Has(key) ? Number(key, 0) : null;

    /// <summary>A token id.</summary>
    public int Id(string key, int fallback) => Whole(key, fallback, 0, LargestSize) ?? throw Wrong(key, "a token id");

    /// <summary>A rate of dropout.</summary>
    public float Rate(string key, double fallback) => Number(key, fallback) is double rate and >= 0 and < 1 ? (float)rate : throw Wrong(key, "a rate from 0 to below 1");

    /// <summary>What a LayerNorm adds to the variance.</summary>
    public float Epsilon(double fallback) =>
        Number("layer_norm_eps", fallback) is double epsilon and > 0 and < 1 && (float)epsilon > 0 ? (float)epsilon : throw Wrong("layer_norm_eps", "a small positive number");

    /// <summary>The side of a square: a number, or a list of two equal ones.</summary>
    public int Side(string key, int fallback)
    {
        if (_json[key] is not JsonArray pair)
        {
            return Size(key, fallback, LargestSide);
        }

        return pair.Count == 2 && pair[0] is JsonValue a && pair[1] is JsonValue b
            && a.TryGetValue(out int height) && b.TryGetValue(out int width) && height == width && height is >= 1 and <= LargestSide
            ? height
            : throw Wrong(key, "a size, or two equal ones: only squares are supported");
    }

    /// <summary>The activation of the feed-forward layers.</summary>
    public GeluKind Activation(string fallback) => Text("hidden_act", fallback) switch
    {
        "gelu" or "gelu_python" => GeluKind.Erf,
        "gelu_new" or "gelu_pytorch_tanh" or "gelu_fast" => GeluKind.Tanh,
        "quick_gelu" => GeluKind.Quick,
        string other => throw new UserErrorException(
            $"{_source}: hidden_act '{other}' is not supported", "known ones: gelu, gelu_new, gelu_pytorch_tanh, gelu_fast, quick_gelu"),
    };

    /// <summary>An error about the value of a key.</summary>
    public UserErrorException Wrong(string key, string wanted)
    {
        string text = _json[key]?.ToJsonString() ?? "absent";
        return new($"{_source}: {key} is {(text.Length <= ShownCharacters ? text : text[..ShownCharacters] + "...")}; it must be {wanted}", "check the file");
    }

    private static string UpTo(int largest) => largest == LargestSize ? string.Empty : FormattableString.Invariant($" of at most {largest}");

    private int? Whole(string key, int fallback, int least, int largest) =>
        Number(key, fallback) is double number && number >= least && number <= largest && number == Math.Floor(number) ? (int)number : null;

    private double Number(string key, double fallback) => _json[key] switch
    {
        null => fallback,
        JsonValue value when value.GetValueKind() == JsonValueKind.Number && value.TryGetValue(out double number) => number,
        JsonValue value when value.TryGetValue(out int number) => number,
        JsonValue value when value.TryGetValue(out float number) => number,
        _ => throw Wrong(key, "a number"),
    };
}
