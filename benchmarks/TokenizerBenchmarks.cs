using BenchmarkDotNet.Attributes;
using CrossAlign.Models.Tokenization;

namespace CrossAlign.Benchmarks;

/// <summary>
/// Encoding a text file, a text a line, on one thread. Name the files by the environment: <c>TOKENIZER</c> (<c>.model</c> or
/// <c>tokenizer.json</c>) and <c>TEXTS</c>. The comparison with the C++ library in one run is <see cref="TokenizerPeer"/>.
/// </summary>
[MemoryDiagnoser]
public class TokenizerBenchmarks
{
    private readonly List<int> _ids = [];
    private ITokenizer _tokenizer = null!;
    private string[] _texts = null!;

    [GlobalSetup]
    public void Setup()
    {
        _tokenizer = Tokenizer.Load(Required("TOKENIZER"));
        _texts = File.ReadAllLines(Required("TEXTS"));
    }

    [Benchmark]
    public int Encode()
    {
        int count = 0;
        foreach (string text in _texts)
        {
            _ids.Clear();
            _tokenizer.Encode(text, _ids);
            count += _ids.Count;
        }

        return count;
    }

    private static string Required(string variable) => Environment.GetEnvironmentVariable(variable)
        ?? throw new InvalidOperationException($"Set the environment variable {variable} to a file.");
}
