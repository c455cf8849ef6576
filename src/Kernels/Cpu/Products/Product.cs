using CrossAlign.Runtime;

namespace CrossAlign.Kernels.Cpu.Products;

/// <summary>The arguments of one matrix product, <c>output = alpha * left right [+ output] [+ bias]</c>.</summary>
internal unsafe struct Product
{
    /// <summary>Element (row, k) lies at <c>Left[row * LeftStride + k]</c>, or at <c>Left[k * LeftStride + row]</c> if <see cref="LeftTransposed"/>.</summary>
    public void* Left;
    public DType LeftType;
    public nint LeftStride;
    public bool LeftTransposed;

    /// <summary>Element (k, column) lies at <c>Right[column * RightStride + k]</c>, or at <c>Right[k * RightStride + column]</c> if <see cref="RightTransposed"/>.</summary>
    public void* Right;
    public DType RightType;
    public nint RightStride;
    public bool RightTransposed;

    /// <summary>(Rows, Columns), row-major.</summary>
    public void* Output;
    public DType OutputType;
    public nint OutputStride;

    public int Rows;
    public int Columns;
    public int Depth;
    public float Alpha;

    /// <summary>Multiply the operands' lines as they are packed, or null: powers of two that keep sums in range, or zeros, which take a line out whatever it holds.
    /// One a row of the left operand, a column of the right one, or (<see cref="RightTransposed"/>) a k of the right one.</summary>
    public float* LeftRowFactors;
    public float* RightColumnFactors;
    public float* RightDepthFactors;
    public bool Accumulate;

    /// <summary>Whether float32 operands are rounded to bfloat16.</summary>
    public bool Round;

    /// <summary>One value a column, or null; not together with <see cref="Accumulate"/>.</summary>
    public float* Bias;

    /// <summary>The most bytes that the tasks' packed rows may take together, or 0 for as much as all threads can use: with more threads than have
    /// room, some wait.</summary>
    public long SlotByteLimit;
}
