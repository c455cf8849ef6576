using System.Text.Json.Serialization;

namespace CrossAlign.Models.Training.Configuration;

/// <summary>Where a tokenizer comes from.</summary>
[JsonConverter(typeof(JsonStringEnumConverter<TokenizerSource>))]
public enum TokenizerSource
{
    /// <summary>Trained on the training captions of the run's languages, without held-out captions.</summary>
    [JsonStringEnumMemberName("train")]
    Train,

    /// <summary>Read from a file.</summary>
    [JsonStringEnumMemberName("file")]
    File,
}
