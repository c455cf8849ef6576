using System.Text.Json.Nodes;

namespace CrossAlign.Models.Training.Configuration;

/// <summary>A list of whole numbers above 0, none of them twice; it may be empty.</summary>
[AttributeUsage(AttributeTargets.Property)]
internal sealed class WidthsAttribute : ConstraintAttribute
{
    /// <inheritdoc/>
    public override (string What, string Remedy)? Refuse(object value)
    {
        IReadOnlyList<int> widths = (IReadOnlyList<int>)value;
        return widths.Any(w => w < 1) ? ("has a width below 1", Remedy ?? "give whole numbers of coordinates")
            : widths.Distinct().Count() < widths.Count ? ("names a width twice", "name each once")
            : null;
    }

    /// <inheritdoc/>
    public override void Describe(JsonObject schema)
    {
        schema["uniqueItems"] = true;
        schema["items"]!.AsObject()["minimum"] = 1;
    }
}
