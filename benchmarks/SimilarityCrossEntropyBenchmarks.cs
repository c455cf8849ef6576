using BenchmarkDotNet.Attributes;
using CrossAlign.Kernels;
using CrossAlign.Runtime;

namespace CrossAlign.Benchmarks;

/// <summary>
/// The fused loss, symmetric, of normalised rows. Arithmetic: 2 B^2 E operations forward, 8 B^2 E forward and backward (6 B^2 E with
/// the similarities kept). <see cref="Products"/> is the machine's own rate: 8 B^2 E operations of plain products of super-tiles;
/// its time divided by that of <see cref="ForwardBackward"/> is the share of the machine's measured product rate. <see cref="PyTorch"/> is the naive loss
/// in PyTorch, float32, in a process of its own; without PyTorch it is left out and the run says how to install it. Calls in turns, and
/// PyTorch with a tuned allocator: <see cref="SimilarityCrossEntropyPeer"/>.
/// </summary>
[NeedsPyTorch]
public class SimilarityCrossEntropyBenchmarks : OperationBenchmarks
{
    private const int Tile = 2048;
    private const float LogScale = 2.6f;

    // Keeps the similarities up to B = 16384.
    private const long LargeBudgetBytes = 1200L << 20;

    private SimilarityCrossEntropyWorkspace? _workspace;
    private TorchLoss? _torch;
    private SimilarityCrossEntropyInputs _inputs;
    private SimilarityCrossEntropyOutputs _outputs;
    private SimilarityCrossEntropyGradients _gradients;
    private Tensor _product;

    /// <summary>Float32, and bfloat16 where the processor multiplies it.</summary>
    public static IEnumerable<MatMulPrecision> Precisions =>
        MatMul.BFloat16UnavailableReason is null ? [MatMulPrecision.Float32, MatMulPrecision.BFloat16] : [MatMulPrecision.Float32];

    /// <summary>Captions and images.</summary>
    [Params(256, 1024, 4096, 16384)]
    public int B { get; set; }

    /// <summary>Width of the embeddings.</summary>
    [Params(256, 512, 1024)]
    public int E { get; set; }

    /// <summary>What the products' operands are rounded to.</summary>
    [ParamsSource(nameof(Precisions))]
    public MatMulPrecision Precision { get; set; }

    /// <summary>Makes the tensors and checks the loss once, against its self-check and against ln B for unrelated rows.</summary>
    [GlobalSetup(Targets = [nameof(Forward), nameof(ForwardBackward), nameof(Products)])]
    public void Setup() => Prepare(SimilarityCrossEntropyOptions.DefaultMemoryBudgetBytes, Precision);

    /// <summary>The same with memory for all similarities.</summary>
    [GlobalSetup(Target = nameof(ForwardBackwardKept))]
    public void SetupKept() => Prepare(LargeBudgetBytes, Precision);

    /// <summary>The same, and PyTorch on the same numbers, whose gradients are compared first.</summary>
    /// <exception cref="InvalidOperationException">They differ.</exception>
    [GlobalSetup(Target = nameof(PyTorch))]
    public void SetupPyTorch()
    {
        Prepare(SimilarityCrossEntropyOptions.DefaultMemoryBudgetBytes, MatMulPrecision.Float32);
        _torch = new TorchLoss(TorchLoss.Python, _inputs.Captions, _inputs.Images, Device.Workers.ThreadCount);
        if (_torch.Difference(_outputs.Loss.AsSpan<float>()[0], _gradients.DCaptions, _gradients.DImages) is string difference)
        {
            throw new InvalidOperationException(difference);
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

    /// <summary>The loss and all gradients with the similarities kept from the first pass to the second.</summary>
    /// <returns>The loss.</returns>
    [Benchmark]
    public float ForwardBackwardKept() => ForwardBackward();

    /// <summary>PyTorch's loss and gradients, in float32 whatever the precision.</summary>
    /// <returns>Milliseconds.</returns>
    [Benchmark]
    public double PyTorch() => _torch!.Step();

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
            _torch?.Dispose();
            _workspace?.Dispose();
        }

        base.Dispose(disposing);
    }

    private void Prepare(long budgetBytes, MatMulPrecision precision)
    {
        Device.MatMulPrecision = precision;
        _workspace = new SimilarityCrossEntropyWorkspace(Device, new SimilarityCrossEntropyOptions { MemoryBudgetBytes = budgetBytes }, B, B, E);
        _inputs = new SimilarityCrossEntropyInputs { Captions = Normal(new Shape(B, E)), Images = Normal(new Shape(B, E)), Scale = Normal(new Shape(1), 0) };
        _inputs.Scale.AsSpan<float>()[0] = LogScale;
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

        // Unrelated rows: logits are normal with the variance exp(2 LogScale) / E.
        double expected = Math.Log(B) + (Math.Exp(2 * LogScale) / E / 2);
        if (!(_workspace.ScaleGradientDiscrepancy < 1e-4) || !(Math.Abs(loss - expected) < 0.1))
        {
            throw new InvalidOperationException($"The loss that is to be timed is wrong: {loss}, about {expected} was expected.");
        }
    }
}
