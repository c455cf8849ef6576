using CrossAlign.Kernels;
using CrossAlign.Runtime;

namespace CrossAlign.Models.Encoders;

/// <summary>
/// A value and its gradient as the operations see them: one parameter, or several that lie one behind the other, so that the
/// query, key and value weights are one (3C, C) matrix and still keep their published names.
/// </summary>
public sealed class ParameterTensor
{
    internal ParameterTensor(in Tensor value)
    {
        Value = value;
    }

    /// <summary>An absent parameter (a linear layer without bias): both tensors are absent.</summary>
    public static ParameterTensor Absent { get; } = new(default);

    /// <summary>float32, in the shape that the operations take.</summary>
    public Tensor Value { get; }

    /// <summary>float32, the shape of <see cref="Value"/>; absent before <see cref="ParameterStore.AllocateGradients"/> and where the parameter is never trained.</summary>
    public Tensor Gradient { get; internal set; }

    /// <summary>bfloat16, the shape of <see cref="Value"/>, kept equal to it by the optimiser; absent but behind <see cref="ParameterStore.AllocateCopies"/>.</summary>
    public Tensor Copy { get; internal set; }

    /// <summary>What matrix products read: <see cref="Copy"/> where there is one, else <see cref="Value"/>.</summary>
    public Tensor Operand => Copy.IsPresent ? Copy : Value;

    /// <summary>Whether there is a parameter at all.</summary>
    public bool IsPresent => Value.IsPresent;

    internal bool IsCarried { get; init; }

    /// <summary>The touched rows of the gradient, for a table whose gradient is kept in that form; then <see cref="Gradient"/> stays absent.</summary>
    public RowSparseGradient SparseGradient { get; internal set; }

    /// <summary>The parameters that lie in it, one behind the other.</summary>
    public IReadOnlyList<Parameter> Parts { get; internal set; } = [];
}
