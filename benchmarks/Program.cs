using System.Globalization;
using BenchmarkDotNet.Configs;
using BenchmarkDotNet.Running;
using CrossAlign.Benchmarks;

// Comparisons with another program in one run have their own names; everything else is BenchmarkDotNet's.
switch (args)
{
    case ["tokenizer-peer", _, _, ..]:
        TokenizerPeer.Run(args[1..]);
        break;
    case ["matmul-peer", ..]:
        MatMulPeer.Run(args[1..]);
        break;
    case ["loss-peer", ..]:
        return SimilarityCrossEntropyPeer.Run(args[1..]);
    case ["loss-memory", string rows, string width]:
        return SimilarityCrossEntropyMemory.Run(int.Parse(rows, CultureInfo.InvariantCulture), int.Parse(width, CultureInfo.InvariantCulture));
    case ["tokenizer-peer" or "loss-memory", ..]:
        Console.Error.WriteLine("tokenizer-peer MODEL_FOLDER TEXTS [ROUNDS], or loss-memory B E");
        return 2;
    default:
        // It builds the whole solution anew for its own process; on two busy cores that takes longer than its two minutes.
        BenchmarkSwitcher.FromAssembly(typeof(TokenizerBenchmarks).Assembly).Run(args, ManualConfig.Create(DefaultConfig.Instance).WithBuildTimeout(TimeSpan.FromMinutes(15)));
        break;
}

return 0;
