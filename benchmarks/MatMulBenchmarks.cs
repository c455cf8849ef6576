using System.Globalization;
using BenchmarkDotNet.Attributes;
using CrossAlign.Kernels;
using CrossAlign.Runtime;

namespace CrossAlign.Benchmarks;

/// <summary>Matrix products beside plain loops on one thread. GFLOP/s = 2 M N K / time / 1e9. For OpenBLAS see <see cref="MatMulPeer"/>.</summary>
public class MatMulBenchmarks : OperationBenchmarks
{
    private Tensor _a;
    private Tensor _b;
    private Tensor _output;
    private Tensor _naive;

    /// <summary>The layout.</summary>
    [Params(MatMulLayout.NN, MatMulLayout.NT, MatMulLayout.TN)]
    public MatMulLayout Layout { get; set; }

    /// <summary>M x N x K: a base model's layer, and the album's towers.</summary>
    [Params("2048x512x512", "2500x288x96", "96x96x3000")]
    public string Size { get; set; } = "";

    /// <summary>Makes the tensors and checks the product against plain loops.</summary>
    /// <exception cref="InvalidOperationException">The two differ.</exception>
    [GlobalSetup]
    public void Setup()
    {
        int[] extents = [.. Size.Split('x').Select(n => int.Parse(n, CultureInfo.InvariantCulture))];
        (int m, int n, int k) = (extents[0], extents[1], extents[2]);
        _a = Normal(Layout == MatMulLayout.TN ? new Shape(k, m) : new Shape(m, k));
        _b = Normal(Layout == MatMulLayout.NT ? new Shape(n, k) : new Shape(k, n));
        _output = Normal(new Shape(m, n));
        _naive = Normal(new Shape(m, n));
        Product();
        CheckFinite(_output);
        Naive();
        ReadOnlySpan<float> expected = _naive.AsSpan<float>();
        ReadOnlySpan<float> actual = _output.AsSpan<float>();
        for (int i = 0; i < actual.Length; i++)
        {
            if (!(Math.Abs(actual[i] - expected[i]) <= 1e-5 * k))
            {
                throw new InvalidOperationException($"Element {i} is {actual[i]}, plain loops give {expected[i]}.");
            }
        }
    }

    /// <summary>The product with all threads.</summary>
    [Benchmark]
    public void Product() => MatMul.Run(_a, _b, _output, Layout);

    /// <summary>Plain loops, the innermost along rows as they lie.</summary>
    [Benchmark(Baseline = true)]
    public void Naive()
    {
        ReadOnlySpan<float> a = _a.AsSpan<float>();
        ReadOnlySpan<float> b = _b.AsSpan<float>();
        Span<float> c = _naive.AsSpan<float>();
        int m = _naive.Shape[0];
        int n = _naive.Shape[1];
        int k = (int)(_a.Count / m);
        c.Clear();
        for (int row = 0; row < m; row++)
        {
            if (Layout == MatMulLayout.NT)
            {
                for (int column = 0; column < n; column++)
                {
                    float sum = 0;
                    for (int i = 0; i < k; i++)
                    {
                        sum += a[(row * k) + i] * b[(column * k) + i];
                    }

                    c[(row * n) + column] = sum;
                }

                continue;
            }

            for (int i = 0; i < k; i++)
            {
                float x = Layout == MatMulLayout.TN ? a[(i * m) + row] : a[(row * k) + i];
                for (int column = 0; column < n; column++)
                {
                    c[(row * n) + column] += x * b[(i * n) + column];
                }
            }
        }
    }
}
