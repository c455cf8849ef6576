using System.Text;
using CrossAlign.Runtime;

namespace CrossAlign.Models.Encoders;

/// <summary>
/// First values of parameters that no checkpoint gives. Each parameter draws from a stream that its name opens, so a value depends
/// on the seed and the name alone, not on what else the model has.
/// </summary>
/// <remarks>
/// Word embeddings N(0, 0.05), positions, token types and class token N(0, 0.02); linear layers and the patch projection uniform
/// in +-1 / sqrt(fan-in), weight and bias, PyTorch's default; LayerNorm 1 and 0. A carried pooler is drawn like a linear layer.
/// </remarks>
public static class ParameterInitialization
{
    private const uint Stream = 0x1217;
    private const float WordDeviation = 0.05f;
    private const float TableDeviation = 0.02f;

    /// <summary>Overwrites the value of a parameter with its first value.</summary>
    /// <param name="parameter">The parameter; a <see cref="ParameterKind.Scale"/> and a <see cref="ParameterKind.LogitBias"/> are left as they are, their owner sets them.</param>
    /// <param name="seed">The run's seed.</param>
    public static void Initialize(Parameter parameter, ulong seed)
    {
        ArgumentNullException.ThrowIfNull(parameter);
        if (parameter.Kind is ParameterKind.Scale or ParameterKind.LogitBias || parameter.Value.Device.IsPlan)
        {
            return;
        }

        CounterRandom random = new(seed, Stream, HashOf(parameter.Name));
        float[] values = new float[parameter.Count];
        switch (parameter.Kind)
        {
            case ParameterKind.NormWeight:
                Array.Fill(values, 1);
                break;
            case ParameterKind.NormBias:
                break;
            case ParameterKind.WordEmbedding:
                FillNormal(values, ref random, WordDeviation);
                break;
            case ParameterKind.PositionEmbedding or ParameterKind.TypeEmbedding or ParameterKind.ClassToken:
                FillNormal(values, ref random, TableDeviation);
                break;
            default:
                float bound = (float)(1 / Math.Sqrt(Math.Max(parameter.FanIn, 1)));
                for (int i = 0; i < values.Length; i++)
                {
                    values[i] = random.NextSingle(-bound, bound);
                }

                break;
        }

        parameter.Value.CopyFrom<float>(values);
    }

    private static void FillNormal(float[] values, ref CounterRandom random, float deviation)
    {
        for (int i = 0; i < values.Length; i++)
        {
            values[i] = deviation * random.NextNormal();
        }
    }

    // FNV-1a, 32 bits: names are few and known, and a collision would only make two parameters start alike.
    private static uint HashOf(string name)
    {
        uint hash = 2166136261;
        foreach (byte b in Encoding.UTF8.GetBytes(name))
        {
            hash = (hash ^ b) * 16777619;
        }

        return hash;
    }
}
