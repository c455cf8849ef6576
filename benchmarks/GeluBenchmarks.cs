using System.Globalization;
using BenchmarkDotNet.Attributes;
using CrossAlign.Kernels;
using CrossAlign.Runtime;

namespace CrossAlign.Benchmarks;

/// <summary>GELU with its bias. Bytes moved: 8 N C forward, 12 N C backward (float32).</summary>
public class GeluBenchmarks : OperationBenchmarks
{
    private Tensor _input;
    private Tensor _bias;
    private Tensor _dOutput;
    private Tensor _output;
    private Tensor _dBias;

    /// <summary>The form.</summary>
    [Params(GeluKind.Erf, GeluKind.Tanh, GeluKind.Quick)]
    public GeluKind Kind { get; set; }

    /// <summary>Tokens and width: the album's towers, and a base model's.</summary>
    [Params("3000x192", "4096x3072")]
    public string Size { get; set; } = "";

    /// <summary>Makes the tensors and checks the operation once.</summary>
    [GlobalSetup]
    public void Setup()
    {
        int[] extents = [.. Size.Split('x').Select(n => int.Parse(n, CultureInfo.InvariantCulture))];
        Shape shape = new(extents[0], extents[1]);
        _input = Normal(shape);
        _bias = Normal(new Shape(extents[1]));
        _dOutput = Normal(shape);
        _output = Normal(shape);
        _dBias = Normal(new Shape(extents[1]));
        Forward();
        CheckFinite(_output);
        Backward();
        CheckFinite(_dBias);
    }

    /// <summary>output = gelu(input + bias).</summary>
    [Benchmark]
    public void Forward() => Gelu.Forward(Kind, _input, _bias, _output);

    /// <summary>dInput and dBias.</summary>
    [Benchmark]
    public void Backward() => Gelu.Backward(Kind, _dOutput, _input, _bias, _output, _dBias);
}
