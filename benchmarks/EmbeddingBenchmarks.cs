using BenchmarkDotNet.Attributes;
using CrossAlign.Kernels;
using CrossAlign.Runtime;

namespace CrossAlign.Benchmarks;

/// <summary>Embeddings. Bytes moved: 12 N C forward; 8 N C for each table backward (float32).</summary>
public class EmbeddingBenchmarks : OperationBenchmarks
{
    private const int MaxTokens = 12;

    private Tensor _ids;
    private Tensor _positions;
    private Tensor _word;
    private Tensor _position;
    private Tensor _type;
    private Tensor _output;
    private RowSparseGradient _sparse;

    /// <summary>V: a vocabulary of the album's captions, and XLM-R's.</summary>
    [Params(8000, 250002)]
    public int Vocabulary { get; set; }

    /// <summary>N.</summary>
    [Params(3000)]
    public int Tokens { get; set; }

    /// <summary>C.</summary>
    [Params(96)]
    public int Width { get; set; }

    /// <summary>Makes the tensors and checks the operation once.</summary>
    [GlobalSetup]
    public void Setup()
    {
        // Words are met as often as in text, roughly: the density of an id falls with its number.
        CounterRandom random = new(1, 0x1D5, 0);
        int[] ids = new int[Tokens];
        foreach (ref int id in ids.AsSpan())
        {
            id = (int)(Vocabulary * MathF.Pow(random.NextSingle(), 3));
        }

        _ids = Whole(ids);
        _positions = Whole([.. Enumerable.Range(0, Tokens).Select(i => i % MaxTokens)]);
        _word = Normal(new Shape(Vocabulary, Width));
        _position = Normal(new Shape(MaxTokens, Width));
        _type = Normal(new Shape(1, Width));
        _output = Normal(new Shape(Tokens, Width));
        _sparse = new RowSparseGradient(Whole(new int[Tokens]), Normal(new Shape(Tokens, Width)), Whole([0]));
        Forward();
        CheckFinite(_output);
        Sparse();
        CheckFinite(_sparse.Values);
    }

    /// <summary>Word, position and type rows added.</summary>
    [Benchmark]
    public void Forward() => Embedding.Forward(_ids, _positions, default, _word, _position, _type, _output);

    /// <summary>The gradients of the three tables.</summary>
    [Benchmark]
    public void Dense() => Embedding.Backward(_output, _ids, _positions, default, _word, _position, _type);

    /// <summary>The touched rows of the word table's gradient.</summary>
    [Benchmark]
    public void Sparse() => Embedding.BackwardSparse(_output, _ids, Vocabulary, _sparse);
}
