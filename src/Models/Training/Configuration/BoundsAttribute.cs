using System.Globalization;
using System.Text.Json.Nodes;

namespace CrossAlign.Models.Training.Configuration;

/// <summary>A number within bounds; no number that is none.</summary>
/// <param name="minimum">The least value.</param>
/// <param name="maximum">The greatest value.</param>
[AttributeUsage(AttributeTargets.Property)]
internal sealed class BoundsAttribute(double minimum, double maximum = double.PositiveInfinity) : ConstraintAttribute
{
    /// <summary>The least value.</summary>
    public double Minimum => minimum;

    /// <summary>The greatest value.</summary>
    public double Maximum => maximum;

    /// <summary>Whether the least value itself is refused.</summary>
    public bool IsAbove { get; init; }

    /// <inheritdoc/>
    public override (string What, string Remedy)? Refuse(object value)
    {
        double number = Convert.ToDouble(value, CultureInfo.InvariantCulture);
        bool allowed = double.IsFinite(number) && (IsAbove ? number > minimum : number >= minimum) && number <= maximum;
        return allowed ? null : (string.Create(CultureInfo.InvariantCulture, $"is {number}"), Remedy ?? Allowed());
    }

    /// <inheritdoc/>
    public override void Describe(JsonObject schema)
    {
        if (!double.IsInfinity(minimum))
        {
            schema[IsAbove ? "exclusiveMinimum" : "minimum"] = Number(minimum);
        }

        if (!double.IsInfinity(maximum))
        {
            schema["maximum"] = Number(maximum);
        }
    }

    private static JsonValue Number(double value) => value == Math.Floor(value) && Math.Abs(value) < 1e15 ? JsonValue.Create((long)value) : JsonValue.Create(value);

    private string Allowed() => (IsAbove, maximum) switch
    {
        (true, double.PositiveInfinity) => string.Create(CultureInfo.InvariantCulture, $"give more than {minimum}"),
        (_, double.PositiveInfinity) => double.IsInfinity(minimum) ? "give a number" : string.Create(CultureInfo.InvariantCulture, $"give {minimum} or more"),
        _ => string.Create(CultureInfo.InvariantCulture, $"give {minimum} to {maximum}"),
    };
}
