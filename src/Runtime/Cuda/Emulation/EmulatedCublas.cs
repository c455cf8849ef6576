using System.Globalization;
using System.Numerics;

namespace CrossAlign.Runtime.Cuda.Emulation;

/// <summary>
/// cuBLAS on the emulated device: a plain column-major product in float32, one sum after the other. In a captured stream it wants a
/// workspace of its caller's, set behind the stream, where the real one would take memory as part of the graph. Unless the math mode forbids
/// it, a bfloat16 result is added up from partial sums that are bfloat16 themselves, as cuBLAS may where it cuts the depth.
/// </summary>
/// <param name="driver">The device.</param>
public sealed unsafe class EmulatedCublas(EmulatedDriver driver) : ICublas
{
    private const int InvalidValue = 7;
    private const int ExecutionFailed = 13;
    private const int NotSupported = 15;
    private const int Float32 = 0;
    private const int BFloat16Type = 14;
    private const int ComputeTf32 = 77;

    // Parts of the depth whose sums a default handle keeps in the type of the result.
    private const int DepthParts = 4;

    private readonly Dictionary<nint, (nint Stream, int MathMode, bool HasWorkspace)> _handles = [];
    private nint _next = 0xB1A5;

    /// <inheritdoc/>
    public string Source => "emulated";

    /// <inheritdoc/>
    public int Create(out nint handle)
    {
        handle = _next++;
        _handles[handle] = (0, 0, false);
        return 0;
    }

    /// <inheritdoc/>
    public int Destroy(nint handle) => _handles.Remove(handle) ? 0 : InvalidValue;

    /// <inheritdoc/>
    public int GetVersion(nint handle, out int version)
    {
        version = 120400;
        return 0;
    }

    /// <inheritdoc/>
    public int SetStream(nint handle, nint stream)
    {
        if (!_handles.TryGetValue(handle, out (nint Stream, int MathMode, bool HasWorkspace) state))
        {
            return InvalidValue;
        }

        _handles[handle] = (stream, state.MathMode, false);
        return 0;
    }

    /// <inheritdoc/>
    public int SetWorkspace(nint handle, ulong workspace, nuint byteCount)
    {
        if (!_handles.TryGetValue(handle, out (nint Stream, int MathMode, bool HasWorkspace) state) || workspace % 256 != 0)
        {
            return InvalidValue;
        }

        _handles[handle] = state with { HasWorkspace = workspace != 0 && byteCount > 0 };
        return 0;
    }

    /// <inheritdoc/>
    public int SetMathMode(nint handle, int mode)
    {
        if (!_handles.TryGetValue(handle, out (nint Stream, int MathMode, bool HasWorkspace) state) || (mode & ~ICublas.WideReductions) is < 0 or > 3)
        {
            return InvalidValue;
        }

        _handles[handle] = state with { MathMode = mode };
        return 0;
    }

    /// <inheritdoc/>
    public int GemmEx(
        nint handle, int transposeA, int transposeB, int m, int n, int k, void* alpha, ulong a, int typeA, int lda, ulong b, int typeB, int ldb, void* beta, ulong c, int typeC, int ldc, int computeType, int algorithm) =>
        GemmStridedBatchedEx(handle, transposeA, transposeB, m, n, k, alpha, a, typeA, lda, 0, b, typeB, ldb, 0, beta, c, typeC, ldc, 0, 1, computeType, algorithm);

    /// <inheritdoc/>
    public int GemmStridedBatchedEx(
        nint handle, int transposeA, int transposeB, int m, int n, int k, void* alpha, ulong a, int typeA, int lda, long strideA, ulong b, int typeB, int ldb, long strideB, void* beta, ulong c, int typeC, int ldc, long strideC, int batchCount, int computeType, int algorithm)
    {
        if (!_handles.TryGetValue(handle, out (nint Stream, int MathMode, bool HasWorkspace) state)
            || m < 0 || n < 0 || k < 0 || batchCount < 0 || transposeA is < 0 or > 1 || transposeB is < 0 or > 1
            || lda < Math.Max(1, transposeA == 0 ? m : k) || ldb < Math.Max(1, transposeB == 0 ? k : n) || ldc < Math.Max(1, m))
        {
            return InvalidValue;
        }

        if (typeA != typeB || typeA is not (Float32 or BFloat16Type) || typeC is not (Float32 or BFloat16Type))
        {
            return NotSupported;
        }

        if (m == 0 || n == 0 || batchCount == 0)
        {
            return 0;
        }

        if (!state.HasWorkspace && driver.IsCaptured(state.Stream))
        {
            return NotSupported;
        }

        bool tf32 = typeA == Float32 && (computeType == ComputeTf32 || (state.MathMode & 3) == 3);
        bool narrow = typeC == BFloat16Type && (state.MathMode & ICublas.WideReductions) == 0;
        float scale = *(float*)alpha;
        float keep = *(float*)beta;
        Operand opA = new(a, typeA, lda, strideA, transposeA == 1, m, k);
        Operand opB = new(b, typeB, ldb, strideB, transposeB == 1, k, n);
        Operand opC = new(c, typeC, ldc, strideC, false, m, n);
        CuResult result = driver.Enqueue(state.Stream, () =>
        {
            driver.CountMma(string.Create(CultureInfo.InvariantCulture, $"cublas_gemm_{(typeA == Float32 ? tf32 ? "tf32" : "f32" : "bf16")}"), 2L * m * n * k * batchCount);
            for (int i = 0; i < batchCount; i++)
            {
                Product(opA, opB, opC, i, scale, keep, tf32, narrow);
            }
        });
        return result == CuResult.Success ? 0 : ExecutionFailed;
    }

    private void Product(in Operand a, in Operand b, in Operand c, int batch, float scale, float keep, bool tf32, bool narrow)
    {
        int m = a.Rows;
        int k = a.Columns;
        int n = b.Columns;

        // Both with the summed index first, so that columns of the product run over contiguous memory.
        float[] x = Load(a, batch, tf32);
        float[] y = Load(b, batch, tf32);
        long bytes = c.ByteCount;
        ulong start = c.Address + (ulong)(batch * c.Stride * c.ElementSize);
        Allocation memory = driver.Require(start, bytes, "the result of a cuBLAS product");
        byte* p = memory.Data + (start - memory.Address);
        long offset = (long)(start - memory.Address);
        int elementSize = c.ElementSize;
        int leading = c.Leading;
        int part = narrow ? Math.Max(1, (k + DepthParts - 1) / DepthParts) : k;
        Parallel.For(0, n, j =>
        {
            float[] column = new float[m];
            float[]? sums = narrow ? new float[m] : null;
            for (int l = 0; l < k; l++)
            {
                if (sums is not null && l % part == 0)
                {
                    AddNarrow(sums, column);
                }

                float factor = y[((long)j * k) + l];
                Span<float> from = x.AsSpan(l * m, m);
                int i = 0;
                Vector<float> factors = new(factor);
                for (; i <= m - Vector<float>.Count; i += Vector<float>.Count)
                {
                    (new Vector<float>(column, i) + (factors * new Vector<float>(from[i..]))).CopyTo(column, i);
                }

                for (; i < m; i++)
                {
                    column[i] += factor * from[i];
                }
            }

            if (sums is not null)
            {
                AddNarrow(sums, column);
                column = sums;
            }

            byte* destination = p + ((long)j * leading * elementSize);
            for (int i = 0; i < m; i++)
            {
                float value = scale * column[i];
                if (elementSize == 4)
                {
                    float* f = (float*)destination + i;
                    *f = keep == 0 ? value : value + (keep * *f);
                }
                else
                {
                    BFloat16* h = (BFloat16*)destination + i;
                    *h = BFloat16.FromSingle(keep == 0 ? value : value + (keep * h->ToSingle()));
                }
            }
        });
        for (int j = 0; j < n; j++)
        {
            memory.MarkInitialised(offset + ((long)j * leading * elementSize), (long)m * elementSize);
        }
    }

    // The partial sums in bfloat16; the column begins anew.
    private static void AddNarrow(float[] sums, float[] column)
    {
        for (int i = 0; i < sums.Length; i++)
        {
            sums[i] = BFloat16.FromSingle(sums[i] + BFloat16.FromSingle(column[i]).ToSingle()).ToSingle();
            column[i] = 0;
        }
    }

    private float[] Load(in Operand operand, int batch, bool tf32)
    {
        ulong start = operand.Address + (ulong)(batch * operand.Stride * operand.ElementSize);
        if (operand.Rows == 0 || operand.Columns == 0)
        {
            return [];
        }

        Allocation memory = driver.Require(start, operand.ByteCount, "an operand of a cuBLAS product");
        byte* p = memory.Data + (start - memory.Address);
        float[] values = new float[(long)operand.Rows * operand.Columns];
        for (int column = 0; column < operand.Columns; column++)
        {
            for (int row = 0; row < operand.Rows; row++)
            {
                long at = operand.IsTransposed ? ((long)row * operand.Leading) + column : ((long)column * operand.Leading) + row;
                float value = operand.ElementSize == 4 ? ((float*)p)[at] : ((BFloat16*)p)[at].ToSingle();
                values[((long)column * operand.Rows) + row] = tf32
                    ? BitConverter.UInt32BitsToSingle((BitConverter.SingleToUInt32Bits(value) + 0x1000) & 0xFFFFE000)
                    : value;
            }
        }

        return values;
    }

    // A matrix op(X) of Rows x Columns.
    private readonly record struct Operand(ulong Address, int Type, int Leading, long Stride, bool IsTransposed, int Rows, int Columns)
    {
        public int ElementSize => Type == Float32 ? 4 : 2;

        public long ByteCount => (((long)((IsTransposed ? Rows : Columns) - 1) * Leading) + (IsTransposed ? Columns : Rows)) * ElementSize;
    }
}
