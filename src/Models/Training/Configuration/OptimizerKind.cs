using System.Text.Json.Serialization;

namespace CrossAlign.Models.Training.Configuration;

/// <summary>Optimisers.</summary>
[JsonConverter(typeof(JsonStringEnumConverter<OptimizerKind>))]
public enum OptimizerKind
{
    /// <summary>Adam with decoupled weight decay.</summary>
    [JsonStringEnumMemberName("adamw")]
    AdamW,

    /// <summary>Adam without weight decay.</summary>
    [JsonStringEnumMemberName("adam")]
    Adam,
}
