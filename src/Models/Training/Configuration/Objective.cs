using System.Text.Json.Serialization;

namespace CrossAlign.Models.Training.Configuration;

/// <summary>What a caption is compared with.</summary>
[JsonConverter(typeof(JsonStringEnumConverter<Objective>))]
public enum Objective
{
    /// <summary>Captions meet pictures.</summary>
    [JsonStringEnumMemberName("image-text")]
    ImageText,

    /// <summary>Captions meet the English caption of the same picture; no pictures.</summary>
    [JsonStringEnumMemberName("text-text")]
    TextText,
}
