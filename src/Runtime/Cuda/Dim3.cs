namespace CrossAlign.Runtime.Cuda;

/// <summary>The extents of a grid or a block.</summary>
/// <param name="X">Fastest dimension.</param>
/// <param name="Y">Second dimension.</param>
/// <param name="Z">Third dimension.</param>
public readonly record struct Dim3(uint X, uint Y = 1, uint Z = 1)
{
    /// <summary>One dimension.</summary>
    /// <param name="x">Extent.</param>
    public static implicit operator Dim3(int x) => new(checked((uint)x));

    /// <summary>The same as the conversion, by name.</summary>
    /// <param name="x">Extent.</param>
    /// <returns>The extents.</returns>
    public static Dim3 FromInt32(int x) => x;
}
