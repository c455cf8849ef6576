using System.Text.RegularExpressions;
using CrossAlign.Kernels;
using CrossAlign.Models.Profiling;
using CrossAlign.Runtime.Cuda.Emulation;

namespace CrossAlign.Models.Tests.Profiling;

public sealed class KernelProfileTests
{
    [Fact]
    public void TheDocumentedTableIsWhatTheKernelsCost()
    {
        // A build for CI stamps no path of the machine into the assembly, so the checkout is found from where the test runs.
        DirectoryInfo? folder = new(AppContext.BaseDirectory);
        while (folder is not null && !File.Exists(Path.Combine(folder.FullName, "CrossAlign.sln")))
        {
            folder = folder.Parent;
        }

        Assert.True(folder is not null, "The test does not run inside the checkout.");
        string document = File.ReadAllText(Path.Combine(folder.FullName, "docs", "kernels.md"));
        KernelProfileReport report = KernelProfiler.Run(KernelProfileCases.For(KernelProfileCases.DefaultTokens), cancellation: TestContext.Current.CancellationToken);
        report = report with { Loss = LossProjector.RunAll(cancellation: TestContext.Current.CancellationToken) };
        string[] expected = KernelProfileTable.Insert(document, report).Split('\n');
        string[] actual = document.Split('\n');
        string? first = expected.Except(actual, StringComparer.Ordinal).FirstOrDefault();
        Assert.True(
            expected.SequenceEqual(actual, StringComparer.Ordinal),
            $"docs/kernels.md is not what the kernels cost: run 'crossalign profile --kernels --markdown docs/kernels.md'. The first line that it lacks: {first}");

        // Every kernel that ships has a row.
        System.Reflection.Assembly kernels = typeof(MatMul).Assembly;
        IEnumerable<string> shipped = kernels.GetManifestResourceNames()
            .Where(name => name.EndsWith(".ptx", StringComparison.Ordinal))
            .SelectMany(name =>
            {
                using StreamReader reader = new(kernels.GetManifestResourceStream(name)!);
                return Regex.Matches(reader.ReadToEnd(), @"\.entry\s+(\w+)").Select(m => m.Groups[1].Value).ToArray();
            });
        Assert.Equal(shipped.Order(StringComparer.Ordinal), report.Kernels.Select(k => k.Kernel).Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal));

        // What makes a kernel slow without making it wrong: on these shapes the tensor cores run without bank conflicts.
        Assert.All(report.Kernels.Where(k => k.TensorOperations > 0), k => Assert.Equal(k.MinWavefronts, k.Wavefronts));
        Assert.All(report.Kernels, k => Assert.InRange(k.FootprintBytes, 32, 32 * k.Sectors));

        // An optimizer's step moves 30 bytes an element: it reads weight, gradient and two moments and writes all but the gradient, and the copy in bfloat16.
        KernelProfileRow step = Assert.Single(report.Kernels, k => k.Kernel == "adamw_step" && k.DType == "f32");
        Assert.InRange(step.FootprintBytes / (3072.0 * 768), 30, 30.5);

        // The aim for bfloat16 on Hopper with sm_80's instructions, computed.
        Assert.InRange(report.Loss.Single(l => l.Precision == "bf16").Total.Single(t => t.Gpu == GpuDataSheet.H100Warps.Name).LeastMilliseconds, 40, 65);
    }

    [Fact]
    public void EveryOperationWithACudaBackendHasACase()
    {
        // A plain product is what a linear layer consists of.
        Assert.Equal(
            KernelCatalog.Operations.Where(o => o.HasCuda && o.Operation != nameof(MatMul)).Select(o => o.Operation),
            KernelProfileCases.For(1).Select(c => c.Operation).Distinct(StringComparer.Ordinal));
    }

    [Fact]
    public void LowerBoundsFollowFromCountsAndDataSheet()
    {
        KernelCounters counters = new() { LaunchCount = 1, BlockCount = 1080, FootprintSectorCount = 2039 * 1000 / 32, MmaOperationCount = 312_000_000 };
        Assert.Equal(1.41, GpuDataSheet.A100.ClockGHz, 0.01);
        Assert.Equal(1.98, GpuDataSheet.H100.ClockGHz, 0.01);
        Dictionary<string, double> bounds = GpuDataSheet.A100.LowerBounds(counters, true).ToDictionary(b => b.Resource, b => b.Microseconds);
        Assert.Equal(1, bounds["memory"], 1e-3);
        Assert.Equal(1, bounds["tensor cores"], 1e-9);
        Assert.Equal(2, GpuDataSheet.A100.LowerBounds(counters, false)[0].Microseconds, 1e-9);

        // 64 lanes and 108 multiprocessors: a warp instruction of floats takes half a clock of one.
        counters.Instructions[(int)InstructionClass.Float] = 2 * 108 * 1000;
        counters.SharedWavefrontCount = 108 * 3000;
        counters.Instructions[(int)InstructionClass.Special] = 108 * 500;
        bounds = GpuDataSheet.A100.LowerBounds(counters, true).ToDictionary(b => b.Resource, b => b.Microseconds);
        Assert.Equal(1 / GpuDataSheet.A100.ClockGHz, bounds["float32"], 1e-9);
        Assert.Equal(3 / GpuDataSheet.A100.ClockGHz, bounds["shared memory"], 1e-9);
        Assert.Equal(0.625 / GpuDataSheet.A100.ClockGHz, bounds["issue"], 1e-9);
        Assert.Equal(1 / GpuDataSheet.A100.ClockGHz, bounds["special functions"], 1e-9);
        Assert.Equal("shared memory", GpuDataSheet.A100.LowerBounds(counters, true)[0].Resource);

        // One block: one multiprocessor does it all; the memory is no slower for it.
        counters.BlockCount = 1;
        double[] alone = [.. GpuDataSheet.A100.LowerBounds(counters, true).OrderBy(b => b.Resource, StringComparer.Ordinal).Select(b => b.Microseconds)];
        double[] all = [.. bounds.OrderBy(b => b.Key, StringComparer.Ordinal).Select(b => b.Key == "memory" ? b.Value : 108 * b.Value)];
        Assert.All(alone.Zip(all), pair => Assert.Equal(pair.Second, pair.First, 1e-6));
    }

    [Theory]
    [InlineData(128, 0, 16, "threads")]
    [InlineData(32, 0, 32, "blocks")]
    [InlineData(128, 81920, 2, "shared memory")]
    public void OccupancyNamesItsLimit(int threads, int shared, int blocks, string limit) =>
        Assert.Equal((blocks, limit), GpuDataSheet.A100.Occupancy(threads, shared));

    [Fact]
    public void ADocumentWithoutMarksIsRefused()
    {
        UserErrorException e = Assert.Throws<UserErrorException>(() => KernelProfileTable.Insert("# nothing", new KernelProfileReport { Kernels = [] }));
        Assert.Contains("<!-- kernels: begin -->", e.Remedy, StringComparison.Ordinal);
    }
}
