using System.Text.Json.Serialization;
using CrossAlign.Models.Data;
using CrossAlign.Models.Diagnostics;
using CrossAlign.Models.Training;

namespace CrossAlign.Cli;

/// <summary>How the commands write records as JSON.</summary>
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase)]
[JsonSerializable(typeof(DataSource))]
[JsonSerializable(typeof(MachineReport))]
[JsonSerializable(typeof(PhotoAlbumLanguage))]
[JsonSerializable(typeof(PhotoAlbumStyle))]
[JsonSerializable(typeof(TrainingResult))]
internal sealed partial class CliJson : JsonSerializerContext;
