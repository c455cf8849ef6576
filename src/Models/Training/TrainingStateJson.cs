using System.Text.Json.Serialization;

namespace CrossAlign.Models.Training;

/// <summary>How <see cref="TrainingState"/> is written as JSON.</summary>
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, WriteIndented = true)]
[JsonSerializable(typeof(TrainingState))]
internal sealed partial class TrainingStateJson : JsonSerializerContext;
