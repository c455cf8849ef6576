using BenchmarkDotNet.Attributes;
using BenchmarkDotNet.Filters;

namespace CrossAlign.Benchmarks;

/// <summary>Leaves benchmarks whose name begins with PyTorch out where there is none, and says so.</summary>
[AttributeUsage(AttributeTargets.Class)]
internal sealed class NeedsPyTorchAttribute : FilterConfigBaseAttribute
{
    private static readonly Lazy<string?> s_whyNot = new(Explain);

    /// <summary>Asks for PyTorch when the first such benchmark comes up.</summary>
    public NeedsPyTorchAttribute()
        : base(new SimpleFilter(benchmark => !benchmark.Descriptor.WorkloadMethod.Name.StartsWith("PyTorch", StringComparison.Ordinal) || s_whyNot.Value is null))
    {
    }

    private static string? Explain()
    {
        string? reason = TorchLoss.WhyNot(TorchLoss.Python);
        if (reason is not null)
        {
            Console.WriteLine($"// skipped: the PyTorch benchmarks. {reason}");
        }

        return reason;
    }
}
