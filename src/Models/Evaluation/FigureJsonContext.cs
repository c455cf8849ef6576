using System.Text.Json.Serialization;

namespace CrossAlign.Models.Evaluation;

/// <summary>JSON code of the report files, generated at build time; names in camelCase, null written as null.</summary>
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, WriteIndented = true)]
[JsonSerializable(typeof(FigureReport))]
internal sealed partial class FigureJsonContext : JsonSerializerContext;
