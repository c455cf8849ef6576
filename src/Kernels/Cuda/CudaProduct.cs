using CrossAlign.Runtime;

namespace CrossAlign.Kernels.Cuda;

/// <summary>A matrix product on a CUDA device, by addresses: <c>output = (or +=) alpha op(a) op(b) (+ bias)</c>; operands are dense but for what strides say.</summary>
internal struct CudaProduct
{
    public MatMulLayout Layout;
    public nint A;
    public DType AType;
    public nint B;
    public DType BType;

    /// <summary>Elements from row to row of <c>a</c>; 0 where it is dense. Where the columns of a row-wise operand are no multiple of 16 bytes, zeros must follow them.</summary>
    public int AStride;

    /// <summary>The same of <c>b</c>.</summary>
    public int BStride;
    public nint Output;

    /// <summary>The same of the output.</summary>
    public int OutputStride;
    public DType OutputType;

    /// <summary>(N) float32, added to each row, or 0.</summary>
    public nint Bias;
    public int M;
    public int N;
    public int K;
    public float Alpha;
    public bool Accumulate;

    /// <summary>
    /// Whether the sums continue those that the float32 output holds (no bias, <see cref="Alpha"/> 1): a depth that comes in several products, each but the
    /// last a multiple of 64, then gives the bits of one product over all of it. cuBLAS adds (+=) as it likes.
    /// </summary>
    public bool Continues;

    /// <summary>Where the device says how many rows of the output count, or 0 where all do.</summary>
    public nint LiveM;

    /// <summary>Where it says how deep the product is, or 0 for all of it.</summary>
    public nint LiveK;

    /// <summary>How many rows of <c>a</c> as it lies count.</summary>
    public readonly nint LiveRowsOfA => Layout == MatMulLayout.TN ? LiveK : LiveM;

    /// <summary>The same of <c>b</c>.</summary>
    public readonly nint LiveRowsOfB => Layout == MatMulLayout.NT ? 0 : LiveK;

    /// <summary>The extents of <c>a</c> as it lies.</summary>
    public readonly (int Rows, int Columns) AExtents => Layout == MatMulLayout.TN ? (K, M) : (M, K);

    /// <summary>The extents of <c>b</c> as it lies.</summary>
    public readonly (int Rows, int Columns) BExtents => Layout == MatMulLayout.NT ? (N, K) : (K, N);
}
