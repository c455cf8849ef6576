using System.Globalization;

namespace CrossAlign.Models.Checkpoints;

/// <summary>What the header of a safetensors file says of one tensor.</summary>
/// <param name="Name">The tensor's name.</param>
/// <param name="DType">Element type.</param>
/// <param name="Shape">Extents, row-major; empty for a scalar.</param>
/// <param name="ByteOffset">Where its first byte lies in the file.</param>
/// <param name="ByteCount">Its size in bytes: the product of the extents times the element size.</param>
public sealed record SafetensorsEntry(string Name, SafetensorsDType DType, IReadOnlyList<long> Shape, long ByteOffset, long ByteCount)
{
    /// <summary>The number of elements.</summary>
    public long Count => ByteCount / DType.ByteSize();

    /// <summary>The extents as messages show them: <c>[128, 512]</c>.</summary>
    public string ShapeText => "[" + string.Join(", ", Shape.Select(d => d.ToString(CultureInfo.InvariantCulture))) + "]";

    /// <inheritdoc/>
    public override string ToString() => $"{Name} {DType.HeaderName()} {ShapeText}";
}
