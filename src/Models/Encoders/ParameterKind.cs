namespace CrossAlign.Models.Encoders;

/// <summary>What a parameter is: decides how it is drawn at the start and whether weight decay acts on it.</summary>
public enum ParameterKind
{
    /// <summary>The weight (O, I) of a linear layer.</summary>
    LinearWeight,

    /// <summary>The bias (O) of a linear layer or of the patch projection.</summary>
    LinearBias,

    /// <summary>The weight (C, 3, P, P) of the patch projection.</summary>
    PatchWeight,

    /// <summary>The weight (C) of a LayerNorm.</summary>
    NormWeight,

    /// <summary>The bias (C) of a LayerNorm.</summary>
    NormBias,

    /// <summary>The word embeddings (V, C).</summary>
    WordEmbedding,

    /// <summary>Position embeddings.</summary>
    PositionEmbedding,

    /// <summary>Token type embeddings.</summary>
    TypeEmbedding,

    /// <summary>The class token of an image tower.</summary>
    ClassToken,

    /// <summary>The learned multiplier of similarities, or its logarithm.</summary>
    Scale,

    /// <summary>The learned number that the sigmoid losses add to every similarity.</summary>
    LogitBias,

    /// <summary>A tensor of the published checkpoint that no computation here uses (the pooler): kept so that it can be written back, never trained.</summary>
    Carried,
}

/// <summary>Facts about <see cref="ParameterKind"/>.</summary>
public static class ParameterKindExtensions
{
    /// <summary>Whether the parameter is a matrix of a linear map: the weights of linear layers and of the patch projection.</summary>
    /// <param name="kind">What the parameter is.</param>
    /// <returns>True for <see cref="ParameterKind.LinearWeight"/> and <see cref="ParameterKind.PatchWeight"/>.</returns>
    public static bool IsLinearMap(this ParameterKind kind) => kind is ParameterKind.LinearWeight or ParameterKind.PatchWeight;

    /// <summary>Whether the parameter is an embedding table (words, positions, token types).</summary>
    /// <param name="kind">What the parameter is.</param>
    /// <returns>True for the three kinds of table.</returns>
    public static bool IsEmbedding(this ParameterKind kind) =>
        kind is ParameterKind.WordEmbedding or ParameterKind.PositionEmbedding or ParameterKind.TypeEmbedding;
}
