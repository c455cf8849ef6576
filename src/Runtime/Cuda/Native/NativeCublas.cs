using System.Runtime.InteropServices;

namespace CrossAlign.Runtime.Cuda.Native;

/// <summary>The cuBLAS library, call by call. See <see cref="CudaLibraries"/> for where it is looked for.</summary>
public sealed unsafe partial class NativeCublas : ICublas
{
    private NativeCublas(string source) => Source = source;

    /// <inheritdoc/>
    public string Source { get; }

    /// <summary>The library, where there is one.</summary>
    /// <returns>The binding, or null; <see cref="CudaLibraries.CublasError"/> then says why.</returns>
    public static NativeCublas? TryLoad() => CudaLibraries.CublasError is null ? new NativeCublas(CudaLibraries.CublasSource!) : null;

    /// <inheritdoc/>
    public int Create(out nint handle) =>
        cublasCreate_v2(out handle);

    /// <inheritdoc/>
    public int Destroy(nint handle) =>
        cublasDestroy_v2(handle);

    /// <inheritdoc/>
    public int GetVersion(nint handle, out int version) =>
        cublasGetVersion_v2(handle, out version);

    /// <inheritdoc/>
    public int SetStream(nint handle, nint stream) =>
        cublasSetStream_v2(handle, stream);

    /// <inheritdoc/>
    public int SetWorkspace(nint handle, ulong workspace, nuint byteCount) =>
        cublasSetWorkspace_v2(handle, workspace, byteCount);

    /// <inheritdoc/>
    public int SetMathMode(nint handle, int mode) =>
        cublasSetMathMode(handle, mode);

    /// <inheritdoc/>
    public int GemmEx(nint handle, int transposeA, int transposeB, int m, int n, int k, void* alpha, ulong a, int typeA, int lda, ulong b, int typeB, int ldb, void* beta, ulong c, int typeC, int ldc, int computeType, int algorithm) =>
        cublasGemmEx(handle, transposeA, transposeB, m, n, k, alpha, a, typeA, lda, b, typeB, ldb, beta, c, typeC, ldc, computeType, algorithm);

    /// <inheritdoc/>
    public int GemmStridedBatchedEx(nint handle, int transposeA, int transposeB, int m, int n, int k, void* alpha, ulong a, int typeA, int lda, long strideA, ulong b, int typeB, int ldb, long strideB, void* beta, ulong c, int typeC, int ldc, long strideC, int batchCount, int computeType, int algorithm) =>
        cublasGemmStridedBatchedEx(handle, transposeA, transposeB, m, n, k, alpha, a, typeA, lda, strideA, b, typeB, ldb, strideB, beta, c, typeC, ldc, strideC, batchCount, computeType, algorithm);

    [LibraryImport(CudaLibraries.Cublas)]
    private static partial int cublasCreate_v2(out nint handle);

    [LibraryImport(CudaLibraries.Cublas)]
    private static partial int cublasDestroy_v2(nint handle);

    [LibraryImport(CudaLibraries.Cublas)]
    private static partial int cublasGetVersion_v2(nint handle, out int version);

    [LibraryImport(CudaLibraries.Cublas)]
    private static partial int cublasSetStream_v2(nint handle, nint stream);

    [LibraryImport(CudaLibraries.Cublas)]
    private static partial int cublasSetWorkspace_v2(nint handle, ulong workspace, nuint byteCount);

    [LibraryImport(CudaLibraries.Cublas)]
    private static partial int cublasSetMathMode(nint handle, int mode);

    [LibraryImport(CudaLibraries.Cublas)]
    private static partial int cublasGemmEx(nint handle, int transposeA, int transposeB, int m, int n, int k, void* alpha, ulong a, int typeA, int lda, ulong b, int typeB, int ldb, void* beta, ulong c, int typeC, int ldc, int computeType, int algorithm);

    [LibraryImport(CudaLibraries.Cublas)]
    private static partial int cublasGemmStridedBatchedEx(nint handle, int transposeA, int transposeB, int m, int n, int k, void* alpha, ulong a, int typeA, int lda, long strideA, ulong b, int typeB, int ldb, long strideB, void* beta, ulong c, int typeC, int ldc, long strideC, int batchCount, int computeType, int algorithm);
}
