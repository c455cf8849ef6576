using System.Globalization;
using BenchmarkDotNet.Attributes;
using CrossAlign.Kernels;
using CrossAlign.Runtime;

namespace CrossAlign.Benchmarks;

/// <summary>
/// Packed attention. Arithmetic: 4 C sum(T^2) operations forward, 10 C sum(T^2) backward, T the lengths of the sequences.
/// </summary>
public class AttentionBenchmarks : OperationBenchmarks
{
    private Tensor _qkv;
    private Tensor _cuSeqlens;
    private Tensor _output;
    private Tensor _lse;
    private Tensor _dOutput;
    private Tensor _dQkv;
    private int _heads;

    /// <summary>Sequences x tokens, heads x head size: captions and pictures of the album's towers, and texts of a base model.</summary>
    [Params("512x10 4x24", "128x17 4x24", "64x64 8x64", "8x512 12x64")]
    public string Size { get; set; } = "";

    /// <summary>Makes the tensors and checks the operation once.</summary>
    [GlobalSetup]
    public void Setup()
    {
        int[] numbers = [.. Size.Split('x', ' ').Select(n => int.Parse(n, CultureInfo.InvariantCulture))];
        (int sequences, int tokens, int heads, int size) = (numbers[0], numbers[1], numbers[2], numbers[3]);
        int rows = sequences * tokens;
        _heads = heads;
        _qkv = Normal(new Shape(rows, 3 * heads * size));
        _cuSeqlens = Whole([.. Enumerable.Range(0, sequences + 1).Select(s => s * tokens)]);
        _output = Normal(new Shape(rows, heads * size));
        _lse = Normal(new Shape(rows, heads));
        _dOutput = Normal(new Shape(rows, heads * size));
        _dQkv = Normal(new Shape(rows, 3 * heads * size));
        Forward();
        CheckFinite(_output);
        Backward();
        CheckFinite(_dQkv);
    }

    /// <summary>Output and log-sum-exps.</summary>
    [Benchmark]
    public void Forward() => Attention.Forward(_qkv, _cuSeqlens, _output, _lse, _heads);

    /// <summary>The gradient of queries, keys and values.</summary>
    [Benchmark]
    public void Backward() => Attention.Backward(_dOutput, _qkv, _cuSeqlens, _output, _lse, _dQkv, _heads);
}
