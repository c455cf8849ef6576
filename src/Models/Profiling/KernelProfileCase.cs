using CrossAlign.Runtime;
using CrossAlign.Runtime.Cuda;

namespace CrossAlign.Models.Profiling;

/// <summary>An operation at one shape, whose kernels are counted.</summary>
/// <param name="Operation">The operation's name.</param>
/// <param name="Shape">The shape as tables show it.</param>
/// <param name="DType">The activations' storage.</param>
/// <param name="Run">Runs it, forward and backward, on a device; what it needs it takes from there.</param>
public sealed record KernelProfileCase(string Operation, string Shape, DType DType, Action<Device> Run)
{
    /// <summary>How matrix products treat float32 operands; those of bfloat16 are multiplied as they are.</summary>
    public MatMulPrecision Precision { get; init; }

    /// <summary>What multiplies matrices. cuBLAS's own kernels are not ours to count.</summary>
    public MatMulEngine Engine { get; init; }

    /// <summary>Storage and, where it is another, the precision of the products: <c>f32</c>, <c>tf32</c>, <c>bf16</c> or <c>f32 as bf16</c>.</summary>
    public string Precisions => (DType, Precision) switch
    {
        (DType.Float32, MatMulPrecision.Tf32) => "tf32",
        (DType.Float32, MatMulPrecision.BFloat16) => "f32 as bf16",
        (DType.Float32, _) => "f32",
        _ => "bf16",
    };
}
