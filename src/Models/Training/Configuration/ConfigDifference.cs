using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace CrossAlign.Models.Training.Configuration;

/// <summary>A key in which two configurations differ.</summary>
/// <param name="Key">Its dotted path.</param>
/// <param name="Before">The first one's value, as JSON.</param>
/// <param name="After">The second one's.</param>
public sealed record ConfigDifference(string Key, string Before, string After)
{
    private static readonly JsonSerializerOptions s_readable = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>Whether the key says where something is found, which has many names.</summary>
    public bool IsPlace => Key is "textTower.from" or "imageTower.from" or "tokenizer.path";

    /// <summary>The first key, in the order of the file, that decides a run and has different values.</summary>
    /// <param name="before">A configuration.</param>
    /// <param name="after">Another.</param>
    /// <returns>The difference; null where both give the same run. Threads and device decide nothing.</returns>
    public static ConfigDifference? First(RunConfig before, RunConfig after) =>
        First(string.Empty, JsonNode.Parse(RunConfigJson.WriteDeciding(before)), JsonNode.Parse(RunConfigJson.WriteDeciding(after)));

    private static ConfigDifference? First(string key, JsonNode? before, JsonNode? after)
    {
        if (before is not JsonObject was || after is not JsonObject goes)
        {
            return JsonNode.DeepEquals(before, after) ? null : new ConfigDifference(key, Text(before), Text(after));
        }

        return was.Select(p => p.Key).Union(goes.Select(p => p.Key))
            .Select(k => First(key.Length == 0 ? k : $"{key}.{k}", was[k], goes[k]))
            .FirstOrDefault(d => d is not null);
    }

    private static string Text(JsonNode? value) => value?.ToJsonString(s_readable) ?? "null";
}
