using System.Collections;
using System.Text.Json.Nodes;

namespace CrossAlign.Models.Training.Configuration;

/// <summary>A list that is not empty and names nothing twice; or a dictionary of such lists.</summary>
[AttributeUsage(AttributeTargets.Property)]
internal sealed class ItemsAttribute : ConstraintAttribute
{
    /// <summary>Whether the list may be empty.</summary>
    public bool MayBeEmpty { get; init; }

    /// <inheritdoc/>
    public override (string What, string Remedy)? Refuse(object value)
    {
        if (value is IReadOnlyDictionary<string, IReadOnlyList<string>> lists)
        {
            return lists.Values.Select(list => list is null ? ("has an entry that is no list", "name at least one, or leave the entry out") : Refuse(list))
                .FirstOrDefault(refusal => refusal is not null);
        }

        string?[] items = [.. ((IEnumerable)value).Cast<string?>()];
        return items.Length == 0 && !MayBeEmpty ? ("is empty", Remedy ?? "name at least one")
            : items.Contains(null) ? ("has an entry that is nothing", "leave it out")
            : items.Distinct(StringComparer.Ordinal).Count() < items.Length ? ("names something twice", "name each once")
            : null;
    }

    /// <inheritdoc/>
    public override void Describe(JsonObject schema)
    {
        if (schema["additionalProperties"] is JsonObject lists)
        {
            // A list in a dictionary may not be null; the exporter, which knows nothing of the check, says it may.
            lists["type"] = "array";
            Describe(lists);
            return;
        }

        if (!MayBeEmpty)
        {
            schema["minItems"] = 1;
        }

        schema["uniqueItems"] = true;
        if (schema["items"] is JsonObject item)
        {
            item["type"] = "string";
        }
    }
}
