using System.Text.Json.Serialization;

namespace CrossAlign.Models.Training.Configuration;

/// <summary>What a head is before the first step.</summary>
[JsonConverter(typeof(JsonStringEnumConverter<HeadStart>))]
public enum HeadStart
{
    /// <summary>Drawn, as any linear layer.</summary>
    [JsonStringEnumMemberName("drawn")]
    Drawn,

    /// <summary>Ones on the diagonal: the tower's vector itself, with zeros behind it where the shared space is wider.</summary>
    [JsonStringEnumMemberName("identity")]
    Identity,

    /// <summary>The layer that the tower's folder has behind its pooling: CLIP's projection, or the dense layer of a sentence-transformers folder; a linear one of the shared space's width.</summary>
    [JsonStringEnumMemberName("folder")]
    Folder,
}
