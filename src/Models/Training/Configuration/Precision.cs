using System.Text.Json.Serialization;

namespace CrossAlign.Models.Training.Configuration;

/// <summary>Precision of matrix products, and on a CUDA device of activations.</summary>
[JsonConverter(typeof(JsonStringEnumConverter<Precision>))]
public enum Precision
{
    /// <summary>float32 throughout; never TF32.</summary>
    [JsonStringEnumMemberName("f32")]
    F32,

    /// <summary>TF32 tensor-core products of float32 tensors (GPU).</summary>
    [JsonStringEnumMemberName("tf32")]
    TF32,

    /// <summary>
    /// bfloat16 products with float32 accumulation. On a CUDA device the towers' activations and their gradients are stored as bfloat16 too, and products
    /// read bfloat16 copies of the weights; on the processor they stay float32 and are rounded as a product reads them. Weights, moments, parameters'
    /// gradients, statistics and what the loss compares are float32 everywhere.
    /// </summary>
    [JsonStringEnumMemberName("bf16")]
    BF16,
}
