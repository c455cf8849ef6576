using System.Text.Json.Nodes;

namespace CrossAlign.Models.Training.Configuration;

/// <summary>A text that is one of a few.</summary>
/// <param name="names">The texts.</param>
[AttributeUsage(AttributeTargets.Property)]
internal sealed class ChoicesAttribute(params string[] names) : ConstraintAttribute
{
    /// <summary>The texts.</summary>
    public IReadOnlyList<string> Names => names;

    /// <inheritdoc/>
    public override (string What, string Remedy)? Refuse(object value) => names.Contains((string)value, StringComparer.Ordinal)
        ? null
        : ($"is '{value}'", Remedy ?? $"the nearest is '{NearestName.Find((string)value, names)}'; there are {string.Join(", ", names)}");

    /// <inheritdoc/>
    public override void Describe(JsonObject schema) => schema["enum"] = new JsonArray([.. names.Select(n => (JsonNode)n)]);
}
