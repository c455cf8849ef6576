namespace CrossAlign.Runtime.Cuda;

/// <summary>Products that are not computed: the library beside an <see cref="IdleDriver"/>.</summary>
internal sealed unsafe class IdleCublas : ICublas
{
    /// <inheritdoc/>
    public string Source => "idle";

    /// <inheritdoc/>
    public int Create(out nint handle)
    {
        handle = 1;
        return 0;
    }

    /// <inheritdoc/>
    public int Destroy(nint handle) => 0;

    /// <inheritdoc/>
    public int GetVersion(nint handle, out int version)
    {
        version = 0;
        return 0;
    }

    /// <inheritdoc/>
    public int SetStream(nint handle, nint stream) => 0;

    /// <inheritdoc/>
    public int SetWorkspace(nint handle, ulong workspace, nuint byteCount) => 0;

    /// <inheritdoc/>
    public int SetMathMode(nint handle, int mode) => 0;

    /// <inheritdoc/>
    public int GemmEx(
        nint handle, int transposeA, int transposeB, int m, int n, int k, void* alpha, ulong a, int typeA, int lda, ulong b, int typeB, int ldb, void* beta, ulong c, int typeC, int ldc, int computeType, int algorithm) => 0;

    /// <inheritdoc/>
    public int GemmStridedBatchedEx(
        nint handle, int transposeA, int transposeB, int m, int n, int k, void* alpha, ulong a, int typeA, int lda, long strideA, ulong b, int typeB, int ldb, long strideB, void* beta, ulong c, int typeC, int ldc, long strideC, int batchCount, int computeType, int algorithm) => 0;
}
