using System.Text.Json;

namespace CrossAlign.Models.Tests.Tokenization;

/// <summary>The golden ids of <c>tests/fixtures/tokenizer</c>, made with the published libraries.</summary>
internal static class TokenizerFixtures
{
    private static readonly Lazy<Dictionary<string, string>> s_texts = new(() =>
        Lines("texts.jsonl").ToDictionary(l => l.GetProperty("id").GetString()!, l => l.GetProperty("text").GetString()!));

    /// <summary>The texts by id.</summary>
    public static IReadOnlyDictionary<string, string> Texts => s_texts.Value;

    public static string Path(string name) => System.IO.Path.Combine(AppContext.BaseDirectory, "fixtures", "tokenizer", name);

    /// <summary>The lines of a file; each a JSON value.</summary>
    public static IEnumerable<JsonElement> Lines(string name) =>
        File.ReadLines(Path(name)).Where(l => l.Length > 0).Select(l => JsonElement.Parse(l));

    public static int[] Ints(JsonElement line, string key) => [.. line.GetProperty(key).EnumerateArray().Select(i => i.GetInt32())];

    public static string[] Strings(JsonElement line, string key) => [.. line.GetProperty(key).EnumerateArray().Select(i => i.GetString()!)];

    /// <summary>Fails with every difference named, the first few in full.</summary>
    public static void AssertNone(IReadOnlyCollection<string> differences, int cases)
    {
        Assert.True(cases > 0, "no case was looked at");
        Assert.True(differences.Count == 0, $"{differences.Count} of {cases} differ:\n" + string.Join('\n', differences.Take(12)));
    }
}
