using System.Text.Json.Serialization;

namespace CrossAlign.Models.Training.Configuration;

/// <summary>How a batch larger than memory is taken.</summary>
[JsonConverter(typeof(JsonStringEnumConverter<Accumulation>))]
public enum Accumulation
{
    /// <summary>The whole batch at once.</summary>
    [JsonStringEnumMemberName("none")]
    None,

    /// <summary>Gradients of micro-batches are added; each micro-batch has its own negatives, so this is not the same loss.</summary>
    [JsonStringEnumMemberName("plain")]
    Plain,

    /// <summary>One loss over the whole batch; micro-batches are embedded, then run again with their cached gradient.</summary>
    [JsonStringEnumMemberName("exact")]
    Exact,
}
