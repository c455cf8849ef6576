namespace CrossAlign.Runtime.Cuda;

/// <summary>
/// The part of cuBLAS that the runtime uses, call by call. Matrices are column-major. Status 0 is success.
/// </summary>
public unsafe interface ICublas
{
    /// <summary>CUDA_R_32F.</summary>
    const int Float32 = 0;

    /// <summary>CUDA_R_16BF.</summary>
    const int BFloat16 = 14;

    /// <summary>CUBLAS_COMPUTE_32F: float32 operands as they are.</summary>
    const int ComputeFloat32 = 68;

    /// <summary>CUBLAS_COMPUTE_32F_FAST_TF32: float32 operands rounded to TF32.</summary>
    const int ComputeTf32 = 77;

    /// <summary>
    /// CUBLAS_DEFAULT_MATH with CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION: what a product cut along its depth has in part is
    /// added in the type of computation, not in the (narrower) type of the result, as the library may by default.
    /// </summary>
    const int WideReductions = 16;

    /// <summary>CUBLAS_GEMM_DEFAULT: the library chooses.</summary>
    const int DefaultAlgorithm = -1;

    /// <summary>Where the library was found, for <c>doctor</c>.</summary>
    string Source { get; }

    /// <summary>cublasCreate_v2.</summary>
    int Create(out nint handle);

    /// <summary>cublasDestroy_v2.</summary>
    int Destroy(nint handle);

    /// <summary>cublasGetVersion_v2: 120800 for 12.8.</summary>
    int GetVersion(nint handle, out int version);

    /// <summary>cublasSetStream_v2.</summary>
    int SetStream(nint handle, nint stream);

    /// <summary>cublasSetWorkspace_v2.</summary>
    int SetWorkspace(nint handle, ulong workspace, nuint byteCount);

    /// <summary>cublasSetMathMode: 0 default, 3 TF32 allowed; <see cref="WideReductions"/> beside them.</summary>
    int SetMathMode(nint handle, int mode);

    /// <summary>cublasGemmEx: C = alpha op(A) op(B) + beta C.</summary>
    int GemmEx(
        nint handle, int transposeA, int transposeB, int m, int n, int k, void* alpha, ulong a, int typeA, int lda, ulong b, int typeB, int ldb, void* beta, ulong c, int typeC, int ldc, int computeType, int algorithm);

    /// <summary>cublasGemmStridedBatchedEx.</summary>
    int GemmStridedBatchedEx(
        nint handle, int transposeA, int transposeB, int m, int n, int k, void* alpha, ulong a, int typeA, int lda, long strideA, ulong b, int typeB, int ldb, long strideB, void* beta, ulong c, int typeC, int ldc, long strideC, int batchCount, int computeType, int algorithm);
}
