using System.Text.Json.Serialization;

namespace CrossAlign.Models.Training.Configuration;

/// <summary>How the multiplier of similarities is learned.</summary>
[JsonConverter(typeof(JsonStringEnumConverter<ScaleParameter>))]
public enum ScaleParameter
{
    /// <summary>Its logarithm.</summary>
    [JsonStringEnumMemberName("log")]
    Log,

    /// <summary>The multiplier itself.</summary>
    [JsonStringEnumMemberName("raw")]
    Raw,
}
