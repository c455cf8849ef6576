using System.Text.Json.Nodes;
using System.Text.RegularExpressions;

namespace CrossAlign.Models.Training.Configuration;

/// <summary>A text of a certain form.</summary>
/// <param name="pattern">A regular expression, as .NET and JSON Schema both read it, that the whole text must match.</param>
[AttributeUsage(AttributeTargets.Property)]
internal sealed class PatternAttribute(string pattern) : ConstraintAttribute
{
    /// <inheritdoc/>
    public override (string What, string Remedy)? Refuse(object value) => Regex.IsMatch((string)value, $@"\A(?:{pattern})\z", RegexOptions.CultureInvariant)
        ? null
        : ($"is '{value}'", Remedy ?? $"give what {pattern} matches");

    /// <inheritdoc/>
    public override void Describe(JsonObject schema) => schema["pattern"] = $"^(?:{pattern})$";
}
