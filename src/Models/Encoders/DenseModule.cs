using System.Numerics;
using CrossAlign.Models.Checkpoints;

namespace CrossAlign.Models.Encoders;

/// <summary>
/// A dense layer behind the pooling, as sentence-transformers folders such as LaBSE's have: y = f(x W^T + b), f the hyperbolic tangent or nothing.
/// Computed on the host, a row at a time, so that a text's vector does not depend on the others to the bit; for embedding alone.
/// </summary>
public sealed class DenseModule
{
    private const string RowsName = "sentence_embedding";

    private readonly float[] _weight;
    private readonly float[] _bias;
    private readonly bool _tanh;

    private DenseModule(int inputWidth, int outputWidth, float[] weight, float[] bias, bool tanh)
    {
        InputWidth = inputWidth;
        OutputWidth = outputWidth;
        _weight = weight;
        _bias = bias;
        _tanh = tanh;
    }

    /// <summary>The width of a row that goes in.</summary>
    public int InputWidth { get; }

    /// <summary>The width of a row that comes out.</summary>
    public int OutputWidth { get; }

    /// <summary>Whether there is nothing behind the linear layer.</summary>
    public bool IsLinear => !_tanh;

    /// <summary>The linear layer's weight, (<see cref="OutputWidth"/>, <see cref="InputWidth"/>).</summary>
    public ReadOnlySpan<float> Weight => _weight;

    /// <summary>Its bias, (<see cref="OutputWidth"/>); zeros where it has none.</summary>
    public ReadOnlySpan<float> Bias => _bias;

    /// <summary>Loads a module.</summary>
    /// <param name="folder">Its folder: <c>config.json</c> and <c>model.safetensors</c> with <c>linear.weight</c> [out, in] and, as declared, <c>linear.bias</c> [out].</param>
    /// <returns>The module.</returns>
    /// <exception cref="UserErrorException">A file is missing or does not fit, or the activation is not computed here; the message names it.</exception>
    public static DenseModule Load(string folder)
    {
        string path = Path.Combine(folder, CheckpointFolder.ConfigName);
        JsonFields config = new(EncoderConfigReader.ReadFile(path), $"'{path}'");
        int input = config.OptionalSize("in_features") ?? throw config.Wrong("in_features", "a width");
        int output = config.OptionalSize("out_features") ?? throw config.Wrong("out_features", "a width");
        bool hasBias = config.Flag("bias", true);
        foreach (string key in (ReadOnlySpan<string>)["module_input_name", "module_output_name"])
        {
            if (config.Text(key, RowsName) is string name and not RowsName)
            {
                throw new UserErrorException($"'{path}': {key} is '{name}'; a dense layer is computed on pooled rows alone", $"known ones: {RowsName}");
            }
        }

        string activation = config.Text("activation_function", "torch.nn.modules.activation.Tanh");
        bool tanh = activation[(activation.LastIndexOf('.') + 1)..] switch
        {
            "Tanh" => true,
            "Identity" => false,
            _ => throw new UserErrorException($"'{path}': the activation '{activation}' is not computed here", "known ones: Tanh, Identity"),
        };
        using CheckpointTensors tensors = CheckpointTensors.Open(folder);
        string[] names = hasBias ? ["linear.bias", "linear.weight"] : ["linear.weight"];
        if (tensors.Names.Except(names, StringComparer.Ordinal).ToArray() is [string unexpected, ..])
        {
            throw new UserErrorException($"'{folder}' has the tensor '{unexpected}', which its config.json knows nothing of", "fetch the checkpoint again");
        }

        return new DenseModule(input, output, Read("linear.weight", [output, input]), hasBias ? Read("linear.bias", [output]) : new float[output], tanh);

        float[] Read(string tensor, long[] shape)
        {
            if (!tensors.TryGetEntry(tensor, out SafetensorsEntry? entry) || !entry.Shape.SequenceEqual(shape))
            {
                throw new UserErrorException(
                    $"'{folder}' has {(entry is null ? $"no tensor '{tensor}'" : $"'{tensor}' as {entry.ShapeText}")}; it must be [{string.Join(", ", shape)}]", "fetch the checkpoint again");
            }

            return tensors.ReadSingles(tensor);
        }
    }

    /// <summary>Computes.</summary>
    /// <param name="rows">(n, <see cref="InputWidth"/>).</param>
    /// <returns>(n, <see cref="OutputWidth"/>).</returns>
    /// <exception cref="ArgumentException">The rows are of another width.</exception>
    public float[] Apply(ReadOnlySpan<float> rows)
    {
        if (rows.Length % InputWidth != 0)
        {
            throw new ArgumentException("The rows are of another width.", nameof(rows));
        }

        float[] result = new float[rows.Length / InputWidth * OutputWidth];
        for (int at = 0; at < result.Length; at++)
        {
            int unit = at % OutputWidth;
            float sum = Dot(rows.Slice(at / OutputWidth * InputWidth, InputWidth), _weight.AsSpan(unit * InputWidth, InputWidth)) + _bias[unit];
            result[at] = _tanh ? MathF.Tanh(sum) : sum;
        }

        return result;
    }

    private static float Dot(ReadOnlySpan<float> x, ReadOnlySpan<float> y)
    {
        Vector<float> sums = Vector<float>.Zero;
        int i = 0;
        for (; i <= x.Length - Vector<float>.Count; i += Vector<float>.Count)
        {
            sums += new Vector<float>(x[i..]) * new Vector<float>(y[i..]);
        }

        float sum = Vector.Sum(sums);
        for (; i < x.Length; i++)
        {
            sum += x[i] * y[i];
        }

        return sum;
    }
}
