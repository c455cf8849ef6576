using System.Text.Json.Serialization;

namespace CrossAlign.Models.Training.Configuration;

/// <summary>What happens to other examples of the same group.</summary>
[JsonConverter(typeof(JsonStringEnumConverter<GroupPolicy>))]
public enum GroupPolicy
{
    /// <summary>They are negatives like all others.</summary>
    [JsonStringEnumMemberName("none")]
    None,

    /// <summary>They are left out.</summary>
    [JsonStringEnumMemberName("masked")]
    Masked,

    /// <summary>They are positives, shared equally.</summary>
    [JsonStringEnumMemberName("shared")]
    Shared,
}
