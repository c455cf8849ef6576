using CrossAlign.Kernels;
using CrossAlign.Runtime;

namespace CrossAlign.Models.Encoders;

/// <summary>The head behind a tower: a linear layer from its width C to the shared width E, with or without a bias.</summary>
public sealed class Projection
{
    private readonly ParameterTensor _weight;
    private readonly ParameterTensor _bias;
    private Tensor _input;

    /// <summary>Adds the head's parameters to a store; their values are zero until they are loaded or initialised.</summary>
    /// <param name="group"><see cref="ParameterGroup.TextHead"/> or <see cref="ParameterGroup.ImageHead"/>.</param>
    /// <param name="name">The head's name: <c>text_head</c> or <c>image_head</c>, or as CLIP calls it.</param>
    /// <param name="inputWidth">C.</param>
    /// <param name="outputWidth">E.</param>
    /// <param name="hasBias">Whether there is a bias.</param>
    /// <param name="store">Where the parameters are kept.</param>
    public Projection(ParameterGroup group, string name, int inputWidth, int outputWidth, bool hasBias, ParameterStore store)
    {
        ArgumentNullException.ThrowIfNull(store);
        ParameterScope scope = new(group, "");
        InputWidth = inputWidth;
        OutputWidth = outputWidth;
        _weight = store.Add(scope, name + ".weight", ParameterKind.LinearWeight, new Shape(outputWidth, inputWidth), inputWidth);
        _bias = hasBias ? store.Add(scope, name + ".bias", ParameterKind.LinearBias, new Shape(outputWidth), inputWidth) : ParameterTensor.Absent;
    }

    /// <summary>The tower's width C.</summary>
    public int InputWidth { get; }

    /// <summary>The shared width E.</summary>
    public int OutputWidth { get; }

    /// <summary>Whether there is a bias.</summary>
    public bool HasBias => _bias.IsPresent;

    /// <summary>The weight (E, C).</summary>
    public Parameter Weight => _weight.Parts[0];

    /// <summary>The bias (E); null where there is none.</summary>
    public Parameter? Bias => _bias.IsPresent ? _bias.Parts[0] : null;

    /// <summary>Projects pooled rows.</summary>
    /// <param name="pooled">(S, C); kept by reference for the backward pass.</param>
    /// <param name="arena">Where the output is taken.</param>
    /// <returns>(S, E), not normalised; valid until the arena is reset.</returns>
    public Tensor Forward(in Tensor pooled, TensorArena arena)
    {
        ArgumentNullException.ThrowIfNull(arena);
        _input = pooled;
        Tensor output = arena.Take(DType.Float32, new Shape(pooled.Shape[0], OutputWidth), pooled.LiveRows);
        Linear.Forward(pooled, _weight.Operand, _bias.Value, output);
        return output;
    }

    /// <summary>The gradients of the last <see cref="Forward"/>: the parameters' are added to (+=).</summary>
    /// <param name="dOutput">(S, E).</param>
    /// <param name="arena">Where the input's gradient is taken.</param>
    /// <param name="wantsInput">Whether the tower below is trained.</param>
    /// <returns>(S, C): the gradient of the pooled rows; absent where it is not wanted.</returns>
    public Tensor Backward(in Tensor dOutput, TensorArena arena, bool wantsInput = true)
    {
        ArgumentNullException.ThrowIfNull(arena);
        Tensor dInput = wantsInput ? arena.Take(DType.Float32, _input.Shape, _input.LiveRows) : default;
        Linear.Backward(dOutput, _input, _weight.Operand, dInput, _weight.Gradient, _bias.Gradient);
        return dInput;
    }
}
