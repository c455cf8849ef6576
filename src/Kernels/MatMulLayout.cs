namespace CrossAlign.Kernels;

/// <summary>Which operands of <see cref="MatMul"/> are read transposed; N for "as it lies", T for "transposed".</summary>
public enum MatMulLayout
{
    /// <summary>a (M, K) times b (K, N).</summary>
    NN,

    /// <summary>a (M, K) times the transpose of b (N, K): similarities, and a linear layer's forward pass.</summary>
    NT,

    /// <summary>The transpose of a (K, M) times b (K, N): gradients of weights.</summary>
    TN,
}
