using System.Text.Json.Serialization;

namespace CrossAlign.Models.Training.Configuration;

/// <summary>Precision of matrix products.</summary>
[JsonConverter(typeof(JsonStringEnumConverter<Precision>))]
public enum Precision
{
    /// <summary>float32 throughout; never TF32.</summary>
    [JsonStringEnumMemberName("f32")]
    F32,

    /// <summary>TF32 tensor-core products of float32 tensors (GPU).</summary>
    [JsonStringEnumMemberName("tf32")]
    TF32,

    /// <summary>bfloat16 products with float32 accumulation.</summary>
    [JsonStringEnumMemberName("bf16")]
    BF16,
}
