using System.Text.Json.Nodes;

namespace CrossAlign.Models.Training.Configuration;

/// <summary>
/// What a setting's value must be, beyond its type: read by the check of a configuration and by its JSON Schema, so that the two agree.
/// </summary>
internal abstract class ConstraintAttribute : Attribute
{
    /// <summary>What to do about a value that is refused; null for the constraint's own words.</summary>
    public string? Remedy { get; init; }

    /// <summary>What is wrong with a value.</summary>
    /// <param name="value">The setting's value, never null.</param>
    /// <returns>What it is, and the remedy; null where it is allowed.</returns>
    public abstract (string What, string Remedy)? Refuse(object value);

    /// <summary>Says the same in a schema.</summary>
    /// <param name="schema">The setting's schema.</param>
    public abstract void Describe(JsonObject schema);
}
