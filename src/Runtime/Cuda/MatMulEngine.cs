namespace CrossAlign.Runtime.Cuda;

/// <summary>What multiplies matrices on a CUDA device.</summary>
public enum MatMulEngine
{
    /// <summary>The kernels of <c>matmul.cu</c>: deterministic, and a row of a result never depends on how many other rows there are.</summary>
    Own,

    /// <summary>cuBLAS: deterministic for one shape, version and GPU, but it chooses its algorithm by the shape.</summary>
    Cublas,
}
