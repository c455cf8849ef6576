using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace CrossAlign.Models.Profiling;

/// <summary>What the kernels cost by the emulated device's counters.</summary>
public sealed record KernelProfileReport
{
    /// <summary>The name of this form of the document.</summary>
    public const string CurrentSchema = "crossalign/kernels/1";

    private static readonly KernelProfileJson s_json =
        new(new JsonSerializerOptions(KernelProfileJson.Default.Options) { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping });

    /// <summary>The form of the document.</summary>
    public string Schema { get; init; } = CurrentSchema;

    /// <summary>What the figures are, and are not.</summary>
    public string Note { get; init; } =
        "Counted by the emulated device; lower bounds are computed from these counts and the GPUs' data sheets. Nothing here was measured on a GPU.";

    /// <summary>The kernels, in the order of the cases.</summary>
    public required IReadOnlyList<KernelProfileRow> Kernels { get; init; }

    /// <summary>The fused loss of a large batch, by the precision of its products.</summary>
    public IReadOnlyList<LossProjection> Loss { get; init; } = [];

    /// <summary>The document as indented JSON.</summary>
    /// <returns>The text, ending in a line feed.</returns>
    public string ToJson() => JsonSerializer.Serialize(this, s_json.KernelProfileReport) + "\n";
}

/// <summary>How <see cref="KernelProfileReport"/> is written as JSON.</summary>
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, WriteIndented = true)]
[JsonSerializable(typeof(KernelProfileReport))]
internal sealed partial class KernelProfileJson : JsonSerializerContext;
