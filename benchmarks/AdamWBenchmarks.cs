using BenchmarkDotNet.Attributes;
using CrossAlign.Kernels;
using CrossAlign.Runtime;

namespace CrossAlign.Benchmarks;

/// <summary>The optimiser over 50 tensors. Bytes moved: 4 a parameter for the norm, 28 for the step.</summary>
public class AdamWBenchmarks : OperationBenchmarks
{
    private const int TensorCount = 50;

    private AdamWParameters _parameters = null!;
    private Tensor _norm;

    /// <summary>Parameters in all: the album's towers, and a fifth of a base model.</summary>
    [Params(1_000_000, 20_000_000)]
    public int Parameters { get; set; }

    /// <summary>Makes the tensors and checks the operation once.</summary>
    [GlobalSetup]
    public void Setup()
    {
        Shape shape = new(Parameters / TensorCount);
        _norm = Normal(new Shape(GradientNorm.ResultLength));
        _parameters = new AdamWParameters(
            _norm.Device,
            [.. Enumerable.Range(0, TensorCount).Select(_ => new AdamWParameter(Normal(shape), Normal(shape), Normal(shape, 0), Normal(shape, 0)))]);
        Norm();
        Step();
        CheckFinite(_parameters[0].Weight);
    }

    /// <summary>The gradients' norm, the clip factor and the finite flag.</summary>
    [Benchmark]
    public void Norm() => GradientNorm.Run(_parameters, 1, _norm);

    /// <summary>One step.</summary>
    [Benchmark]
    public void Step() => AdamW.Step(_parameters, new AdamWSettings(1e-6, 100), _norm);
}
