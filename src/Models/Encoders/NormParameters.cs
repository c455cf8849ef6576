using CrossAlign.Runtime;

namespace CrossAlign.Models.Encoders;

/// <summary>Weight and bias of one LayerNorm.</summary>
internal sealed class NormParameters
{
    /// <summary>Adds them to a store.</summary>
    /// <param name="store">Where.</param>
    /// <param name="scope">The part of the model.</param>
    /// <param name="name">The LayerNorm's published name.</param>
    /// <param name="width">C.</param>
    public NormParameters(ParameterStore store, ParameterScope scope, string name, int width)
    {
        Weight = store.Add(scope, name + ".weight", ParameterKind.NormWeight, new Shape(width));
        Bias = store.Add(scope, name + ".bias", ParameterKind.NormBias, new Shape(width));
    }

    /// <summary>(C).</summary>
    public ParameterTensor Weight { get; }

    /// <summary>(C).</summary>
    public ParameterTensor Bias { get; }
}
