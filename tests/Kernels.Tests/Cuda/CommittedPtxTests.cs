using System.Collections.Concurrent;
using System.ComponentModel;
using System.Diagnostics;

namespace CrossAlign.Kernels.Tests.Cuda;

/// <summary>The PTX in <c>kernels-cu/ptx</c> is what clang 14 makes of the sources beside it, and is what the assembly carries.</summary>
public sealed class CommittedPtxTests
{
    internal const string Compiler = "clang++-14";

    private static readonly string s_folder = Path.Combine(AppContext.BaseDirectory, "kernels-cu");

    [Fact]
    public void EveryKernelFileHasItsPtxAndNoOtherIsThere()
    {
        string[] sources = Stems(s_folder, "*.cu");
        Assert.NotEmpty(sources);
        Assert.Equal(sources, Stems(Path.Combine(s_folder, "ptx"), "*.ptx"));
    }

    [Fact]
    public void TheAssemblyCarriesTheCommittedPtx()
    {
        foreach (string stem in Stems(s_folder, "*.cu"))
        {
            using Stream? resource = typeof(LayerNorm).Assembly.GetManifestResourceStream($"{stem}.ptx");
            Assert.NotNull(resource);
            using StreamReader reader = new(resource);
            Assert.True(
                Committed(stem) == reader.ReadToEnd(),
                $"{stem}.ptx in the assembly differs from kernels-cu/ptx: run 'dotnet build -t:UpdatePtx'.");
        }
    }

    [Fact]
    public void TheCommittedPtxIsWhatTheSourcesGive()
    {
        string? resources = Run("-print-resource-dir");
        if (resources is null)
        {
            Assert.False(Environment.GetEnvironmentVariable("CI") == "true", $"{Compiler} is missing, and the committed PTX must be compared in CI.");
            Assert.Skip($"{Compiler} is not installed, so the committed PTX cannot be compared with its sources.");
        }

        ConcurrentBag<string> stale = [];
        Parallel.ForEach(Stems(s_folder, "*.cu"), new ParallelOptions { MaxDegreeOfParallelism = Environment.ProcessorCount }, stem =>
        {
            if (Run("@clang.flags", $"-fdebug-prefix-map={resources.Trim()}=clang", "-o", "-", $"{stem}.cu") != Committed(stem))
            {
                stale.Add(stem);
            }
        });
        Assert.True(stale.IsEmpty, $"Stale in kernels-cu/ptx: {string.Join(", ", stale.Order(StringComparer.Ordinal))}. Run 'dotnet build -t:UpdatePtx'.");
    }

    private static string Committed(string stem) => File.ReadAllText(Path.Combine(s_folder, "ptx", $"{stem}.ptx"));

    private static string[] Stems(string folder, string pattern) =>
        [.. Directory.GetFiles(folder, pattern).Select(f => Path.GetFileNameWithoutExtension(f)).Order(StringComparer.Ordinal)];

    /// <summary>What the compiler writes, run in the sources' folder; null where it is not installed.</summary>
    internal static string? Run(params string[] arguments)
    {
        ProcessStartInfo start = new(Compiler, arguments)
        {
            WorkingDirectory = s_folder,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        try
        {
            using Process process = Process.Start(start)!;
            Task<string> errors = process.StandardError.ReadToEndAsync();
            string output = process.StandardOutput.ReadToEnd();
            process.WaitForExit();
            Assert.True(process.ExitCode == 0, errors.Result);
            return output;
        }
        catch (Win32Exception)
        {
            // There is no such program.
            return null;
        }
    }
}
