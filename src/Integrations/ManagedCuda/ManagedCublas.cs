using CrossAlign.Runtime.Cuda;
using ManagedCuda;
using ManagedCuda.BasicTypes;
using ManagedCuda.CudaBlas;
using Library = ManagedCuda.CudaBlas.CudaBlasNativeMethods;
using MathMode = ManagedCuda.CudaBlas.Math;

namespace CrossAlign.Integrations.ManagedCuda;

/// <summary>
/// cuBLAS through ManagedCuda's declarations of its entry points, call by call. Its class <c>CudaBlas</c> is not used: it is not
/// IDisposable, and its <c>GemmEx</c> calls another function (<c>cublasSgemmEx</c>).
/// </summary>
public sealed unsafe class ManagedCublas : ICublas
{
    internal ManagedCublas(string source) => Source = source;

    /// <inheritdoc/>
    public string Source { get; }

    /// <inheritdoc/>
    public int Create(out nint handle)
    {
        CudaBlasHandle made = default;
        CublasStatus status = Library.cublasCreate_v2(ref made);
        handle = made.Pointer;
        return (int)status;
    }

    /// <inheritdoc/>
    public int Destroy(nint handle) => (int)Library.cublasDestroy_v2(Handle(handle));

    /// <inheritdoc/>
    public int GetVersion(nint handle, out int version)
    {
        version = 0;
        return (int)Library.cublasGetVersion_v2(Handle(handle), ref version);
    }

    /// <inheritdoc/>
    public int SetStream(nint handle, nint stream) => (int)Library.cublasSetStream_v2(Handle(handle), new CUstream { Pointer = stream });

    /// <inheritdoc/>
    public int SetWorkspace(nint handle, ulong workspace, nuint byteCount) => (int)Library.cublasSetWorkspace_v2(Handle(handle), Address(workspace), (ulong)byteCount);

    /// <inheritdoc/>
    public int SetMathMode(nint handle, int mode) => (int)Library.cublasSetMathMode(Handle(handle), (MathMode)mode);

    /// <inheritdoc/>
    public int GemmEx(
        nint handle, int transposeA, int transposeB, int m, int n, int k, void* alpha, ulong a, int typeA, int lda, ulong b, int typeB, int ldb, void* beta, ulong c, int typeC, int ldc, int computeType, int algorithm) =>
        (int)Library.cublasGemmEx(
            Handle(handle),
            (Operation)transposeA,
            (Operation)transposeB,
            m,
            n,
            k,
            (nint)alpha,
            Address(a),
            (cudaDataType)typeA,
            lda,
            Address(b),
            (cudaDataType)typeB,
            ldb,
            (nint)beta,
            Address(c),
            (cudaDataType)typeC,
            ldc,
            (ComputeType)computeType,
            (GemmAlgo)algorithm);

    /// <inheritdoc/>
    public int GemmStridedBatchedEx(
        nint handle, int transposeA, int transposeB, int m, int n, int k, void* alpha, ulong a, int typeA, int lda, long strideA, ulong b, int typeB, int ldb, long strideB, void* beta, ulong c, int typeC, int ldc, long strideC, int batchCount, int computeType, int algorithm) =>
        (int)Library.cublasGemmStridedBatchedEx(
            Handle(handle),
            (Operation)transposeA,
            (Operation)transposeB,
            m,
            n,
            k,
            (nint)alpha,
            Address(a),
            (cudaDataType)typeA,
            lda,
            strideA,
            Address(b),
            (cudaDataType)typeB,
            ldb,
            strideB,
            (nint)beta,
            Address(c),
            (cudaDataType)typeC,
            ldc,
            strideC,
            batchCount,

            // Declared as a type of data; cuBLAS reads the same 32 bits as the type of computation.
            (cudaDataType)computeType,
            (GemmAlgo)algorithm);

    private static CudaBlasHandle Handle(nint handle) => new() { Pointer = handle };

    private static CUdeviceptr Address(ulong address) => new((SizeT)address);
}
