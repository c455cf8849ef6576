using System.ComponentModel;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Schema;
using System.Text.Json.Serialization;
using System.Text.Json.Serialization.Metadata;

namespace CrossAlign.Models.Training.Configuration;

/// <summary>How a <see cref="RunConfig"/> is written as JSON, and the JSON Schema of it.</summary>
[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase,
    WriteIndented = true,
    RespectNullableAnnotations = true,
    UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow)]
[JsonSerializable(typeof(RunConfig))]
public sealed partial class RunConfigJson : JsonSerializerContext
{
    /// <summary>The configuration as <c>config.json</c> holds it: complete, in the records' order.</summary>
    /// <param name="config">The configuration.</param>
    /// <returns>JSON text ending in a line feed.</returns>
    public static string Write(RunConfig config)
    {
        // "multilingual+quechua" is to read as it is typed; the file is no part of a web page.
        JsonSerializerOptions readable = new(Default.Options) { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };
        return JsonSerializer.Serialize(config, new RunConfigJson(readable).RunConfig) + "\n";
    }

    /// <summary>The configuration without the machine: two sittings of one run may differ in <c>threads</c> and <c>device</c> and in nothing else.</summary>
    /// <param name="config">The configuration.</param>
    /// <returns>As <see cref="Write"/>, with the defaults of these two.</returns>
    public static string WriteDeciding(RunConfig config)
    {
        ArgumentNullException.ThrowIfNull(config);
        return Write(config with { Threads = 0, Device = "auto" });
    }

    /// <summary>The JSON Schema of a configuration file, generated from the records, so that it cannot drift from them.</summary>
    /// <returns>JSON text ending in a line feed.</returns>
    public static string WriteSchema()
    {
        JsonSchemaExporterOptions options = new() { TreatNullObliviousAsNonNullable = true, TransformSchemaNode = Describe };
        JsonObject schema = Default.RunConfig.GetJsonSchemaAsNode(options).AsObject();
        schema.Insert(0, "$schema", "https://json-schema.org/draft/2020-12/schema");
        schema.Insert(1, "title", "A CrossAlign run");

        // A file may give any part; what it leaves out comes from the recipe and the set-up.
        schema.Remove("required");
        JsonSerializerOptions pretty = new() { WriteIndented = true, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };
        return schema.ToJsonString(pretty) + "\n";
    }

    private static JsonNode Describe(JsonSchemaExporterContext context, JsonNode node)
    {
        if (node is not JsonObject schema)
        {
            return node;
        }

        object[]? attributes = context.PropertyInfo?.AttributeProvider?.GetCustomAttributes(typeof(DescriptionAttribute), inherit: false);
        if (attributes is [DescriptionAttribute description, ..])
        {
            schema.Insert(0, "description", description.Description);
        }

        foreach (object attribute in context.PropertyInfo?.AttributeProvider?.GetCustomAttributes(typeof(ConstraintAttribute), inherit: true) ?? [])
        {
            ((ConstraintAttribute)attribute).Describe(schema);
        }

        if (context.TypeInfo.Kind == JsonTypeInfoKind.Object && schema.ContainsKey("properties"))
        {
            schema["additionalProperties"] = false;
        }

        return schema;
    }
}
