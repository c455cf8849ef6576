using BenchmarkDotNet.Attributes;
using CrossAlign.Kernels;
using CrossAlign.Runtime;

namespace CrossAlign.Benchmarks;

/// <summary>
/// The fused loss, symmetric, of normalised rows. Arithmetic: 2 B^2 E operations forward, 8 B^2 E forward and backward (6 B^2 E with
/// the similarities kept). <see cref="Products"/> is the machine's own rate: 8 B^2 E operations of plain products of super-tiles;
/// its time divided by that of <see cref="ForwardBackward"/> is the share of the machine's measured product rate. The PyTorch peer
/// is <c>benchmarks/torch/similarity_cross_entropy.py</c>.
/// </summary>
public class SimilarityCrossEntropyBenchmarks : OperationBenchmarks
{
    private const int Tile = 2048;

    private SimilarityCrossEntropyWorkspace? _workspace;
    private SimilarityCrossEntropyInputs _inputs;
    private SimilarityCrossEntropyOutputs _outputs;
    private SimilarityCrossEntropyGradients _gradients;
    private Tensor _product;

    /// <summary>Captions and images.</summary>
    [Params(256, 1024, 4096, 16384)]
    public int B { get; set; }

    /// <summary>Width of the embeddings.</summary>
    [Params(256, 512, 1024)]
    public int E { get; set; }

    /// <summary>MiB of the memory budget: the default, and one that keeps the similarities up to B = 16384.</summary>
    [Params(64, 1200)]
    public int BudgetMiB { get; set; }

    /// <summary>Makes the tensors and checks the loss once, against its self-check and against ln B for unrelated rows.</summary>
    [GlobalSetup]
    public void Setup()
    {
        _workspace = new SimilarityCrossEntropyWorkspace(Device, new SimilarityCrossEntropyOptions { MemoryBudgetBytes = (long)BudgetMiB << 20 }, B, B, E);
        _inputs = new SimilarityCrossEntropyInputs { Captions = Normal(new Shape(B, E)), Images = Normal(new Shape(B, E)), Scale = Normal(new Shape(1), 0) };
        _outputs = new SimilarityCrossEntropyOutputs { Loss = Normal(new Shape(1)) };
        _gradients = new SimilarityCrossEntropyGradients
        {
            DCaptions = Normal(new Shape(B, E)),
            DImages = Normal(new Shape(B, E)),
            DScale = Normal(new Shape(1)),
        };
        _product = Normal(new Shape(Math.Min(B, Tile), Math.Min(B, Tile)), 0);
        float loss = ForwardBackward();
        CheckFinite(_gradients.DCaptions);
        CheckFinite(_gradients.DImages);
        if (!(_workspace.ScaleGradientDiscrepancy < 1e-4) || !(Math.Abs(loss - Math.Log(B)) < 0.1))
        {
            throw new InvalidOperationException("The loss that is to be timed is wrong.");
        }
    }

    /// <summary>The loss alone.</summary>
    /// <returns>The loss.</returns>
    [Benchmark]
    public float Forward()
    {
        SimilarityCrossEntropy.Forward(_workspace!, _inputs, _outputs);
        return _outputs.Loss.AsSpan<float>()[0];
    }

    /// <summary>The loss and all gradients.</summary>
    /// <returns>The loss.</returns>
    [Benchmark]
    public float ForwardBackward()
    {
        SimilarityCrossEntropy.ForwardBackward(_workspace!, _inputs, _outputs, _gradients);
        return _outputs.Loss.AsSpan<float>()[0];
    }

    /// <summary>As many operations by plain matrix products.</summary>
    /// <returns>Some element of the last one.</returns>
    [Benchmark(Baseline = true)]
    public float Products()
    {
        int tile = _product.Shape[0];
        for (int product = 0; product < 4; product++)
        {
            for (int i = 0; i + tile <= B; i += tile)
            {
                for (int j = 0; j + tile <= B; j += tile)
                {
                    MatMul.Run(_inputs.Captions.Rows(i, tile), _inputs.Images.Rows(j, tile), _product, MatMulLayout.NT);
                }
            }
        }

        return _product.AsSpan<float>()[0];
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            _workspace?.Dispose();
        }

        base.Dispose(disposing);
    }
}
