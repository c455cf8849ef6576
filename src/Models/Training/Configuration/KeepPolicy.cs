using System.Text.Json.Serialization;

namespace CrossAlign.Models.Training.Configuration;

/// <summary>Which weights a run gives.</summary>
[JsonConverter(typeof(JsonStringEnumConverter<KeepPolicy>))]
public enum KeepPolicy
{
    /// <summary>Those after the last step.</summary>
    [JsonStringEnumMemberName("last")]
    Last,

    /// <summary>Those of the best evaluation on the validation concepts.</summary>
    [JsonStringEnumMemberName("best")]
    Best,
}
