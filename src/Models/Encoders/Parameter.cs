using CrossAlign.Kernels;
using CrossAlign.Runtime;

namespace CrossAlign.Models.Encoders;

/// <summary>A named parameter: its value, its gradient and what is to be known of it for training.</summary>
public sealed class Parameter
{
    private readonly ParameterTensor _owner;
    private readonly int _firstRow;

    internal Parameter(ParameterTensor owner, int firstRow, string name, string publishedName, Shape shape, ParameterKind kind, ParameterGroup group, int fanIn)
    {
        _owner = owner;
        _firstRow = firstRow;
        Name = name;
        PublishedName = publishedName;
        Shape = shape;
        Kind = kind;
        Group = group;
        FanIn = fanIn;
    }

    /// <summary>The name in the store: <c>text_encoder.</c> or <c>image_encoder.</c> and the published name, or the name of a head's tensor.</summary>
    public string Name { get; }

    /// <summary>The name in the tower's own checkpoint.</summary>
    public string PublishedName { get; }

    /// <summary>The published extents.</summary>
    public Shape Shape { get; }

    /// <summary>The number of elements.</summary>
    public long Count => Shape.Count;

    /// <summary>What the parameter is.</summary>
    public ParameterKind Kind { get; }

    /// <summary>The part of the model that it belongs to.</summary>
    public ParameterGroup Group { get; }

    /// <summary>How many inputs the linear layer has that a weight or bias belongs to: 1 / sqrt(fan-in) bounds its first values; 0 elsewhere.</summary>
    public int FanIn { get; }

    /// <summary>Whether training leaves the parameter alone at present. A carried parameter is always frozen.</summary>
    public bool IsFrozen { get; internal set; }

    /// <summary>The value, float32, in the published shape; a view of the store's memory.</summary>
    public Tensor Value => Part(_owner.Value);

    /// <summary>The gradient, float32, in the published shape; absent before <see cref="ParameterStore.AllocateGradients"/>.</summary>
    public Tensor Gradient => _owner.Gradient.IsPresent ? Part(_owner.Gradient) : default;

    /// <summary>The copy that matrix products read, bfloat16, in the published shape; absent but behind <see cref="ParameterStore.AllocateCopies"/>.</summary>
    public Tensor Copy => _owner.Copy.IsPresent ? Part(_owner.Copy) : default;

    /// <summary>The touched rows of the gradient, where it is kept in that form (<see cref="ParameterStore.AllocateSparseGradient"/>).</summary>
    public RowSparseGradient SparseGradient => _owner.SparseGradient;

    internal ParameterTensor Owner => _owner;

    /// <inheritdoc/>
    public override string ToString() => $"{Name} {Shape}";

    private Tensor Part(in Tensor whole) => _owner.Parts.Count == 1
        ? whole.Reshape(Shape)
        : whole.Rows(_firstRow, Shape[0]).Reshape(Shape);
}
