using System.Text.Json.Serialization;

namespace CrossAlign.Models.Training.Configuration;

/// <summary>What multiplies matrices on a CUDA device; the processor has its own product in any case.</summary>
[JsonConverter(typeof(JsonStringEnumConverter<ProductEngine>))]
public enum ProductEngine
{
    /// <summary>cuBLAS where it is found, else the program's own kernels.</summary>
    [JsonStringEnumMemberName("auto")]
    Auto,

    /// <summary>The program's own kernels: steps are replayed from captured graphs, and no row depends on how many others there are.</summary>
    [JsonStringEnumMemberName("own")]
    Own,

    /// <summary>cuBLAS: each operation of a step is issued by itself.</summary>
    [JsonStringEnumMemberName("cublas")]
    Cublas,
}
