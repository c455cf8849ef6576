using System.Text.Json.Serialization;

namespace CrossAlign.Models.Training.Configuration;

/// <summary>How the learning rate falls.</summary>
[JsonConverter(typeof(JsonStringEnumConverter<ScheduleShape>))]
public enum ScheduleShape
{
    /// <summary>Half a cosine.</summary>
    [JsonStringEnumMemberName("cosine")]
    Cosine,

    /// <summary>A straight line.</summary>
    [JsonStringEnumMemberName("linear")]
    Linear,

    /// <summary>A straight line that is followed at the ends of epochs only, as the paper's code does.</summary>
    [JsonStringEnumMemberName("epoch-linear")]
    EpochLinear,

    /// <summary>Not at all.</summary>
    [JsonStringEnumMemberName("constant")]
    Constant,
}
