using System.Diagnostics;

namespace CrossAlign.Kernels.Tests.Cuda;

/// <summary>What the build refuses (<c>Ptx.targets</c>): each fault is planted into the PTX of a kernel, and must fail the build by name.</summary>
public sealed class PtxTargetsTests : IDisposable
{
    private const string Stem = "residual";

    private static readonly string s_sources = Path.Combine(AppContext.BaseDirectory, "kernels-cu");

    private readonly string _folder = Directory.CreateTempSubdirectory("crossalign-ptx-").FullName;

    public static TheoryData<string, string, string, string> Faults() => new()
    {
        { "a call of a function that is nowhere", "PTX1", ".address_size 64\n", ".address_size 64\n.extern .func  (.param .b32 func_retval0) expf\n(\n\t.param .b32 expf_param_0\n)\n;\n" },
        { "a call under a predicate", "PTX1", "\tret;\n", "\t@%p1 call.uni (retval0), expf, (param0);\n\tret;\n" },
        { "a stack frame", "PTX2", "\tret;\n", "\t.local .align 16 .b8 \t__local_depot0[64];\n\tret;\n" },
        { "a newer version", "PTX3", ".version 7.0\n", ".version 7.4\n" },
        { "a newer GPU", "PTX4", ".target sm_80\n", ".target sm_90\n" },
    };

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [MemberData(nameof(Faults))]
    public void AFaultInThePtxFailsTheBuild(string fault, string code, string before, string after)
    {
        string ptx = File.ReadAllText(Path.Combine(s_sources, "ptx", $"{Stem}.ptx"));
        string planted = ptx.Replace(before, after, StringComparison.Ordinal);
        Assert.NotEqual(ptx, planted);
        (int status, string output) = Build(planted, "no-such-compiler");
        Assert.True(status != 0, $"{fault} was taken.\n{output}");
        Assert.Contains($"{Stem}.ptx", output, StringComparison.Ordinal);
        Assert.Contains($"error {code}", output, StringComparison.Ordinal);
    }

    [Fact]
    public void ThePtxAsItIsBuilds()
    {
        (int status, string output) = Build(File.ReadAllText(Path.Combine(s_sources, "ptx", $"{Stem}.ptx")), "no-such-compiler");
        Assert.True(status == 0, output);
    }

    [Fact]
    public void AnArrayThatIsIndexedAtRunTimeFailsTheBuild()
    {
        // A thread's array whose index the compiler cannot know lies in a stack frame.
        Write($"{Stem}.cu", """
            #include "prelude.cuh"

            extern "C" __global__ void __launch_bounds__(32) planted(const int* from, int* to, int n)
            {
                int kept[16];
                for (int i = 0; i < 16; i++)
                {
                    kept[from[i] & 15] = from[16 + i];
                }

                to[threadIdx.x] = kept[n & 15];
            }
            """);
        (int status, string output) = Build(null, CommittedPtxTests.Compiler);
        if (output.Contains("error PTX0", StringComparison.Ordinal))
        {
            Assert.False(Environment.GetEnvironmentVariable("CI") == "true", $"{CommittedPtxTests.Compiler} is missing, and the check for stack frames must be tried in CI.");
            Assert.Skip($"{CommittedPtxTests.Compiler} is not installed, so nothing can be compiled here.");
        }

        Assert.True(status != 0, output);
        Assert.Contains("error PTX2", output, StringComparison.Ordinal);
    }

    private (int Status, string Output) Build(string? ptx, string compiler)
    {
        foreach (string file in (string[])["Ptx.targets", "clang.flags"])
        {
            Write(file, File.ReadAllText(Path.Combine(s_sources, file)));
        }

        if (ptx is not null)
        {
            Write($"{Stem}.cu", "// What is made of it lies in ptx.\n");
            Write($"ptx/{Stem}.ptx", ptx);
        }
        else
        {
            foreach (string header in Directory.GetFiles(s_sources, "*.cuh"))
            {
                Write(Path.GetFileName(header), File.ReadAllText(header));
            }
        }

        Write("planted.proj", $"""
            <Project>
              <PropertyGroup>
                <PtxCompiler>{compiler}</PtxCompiler>
                <IntermediateOutputPath>obj/</IntermediateOutputPath>
              </PropertyGroup>
              <Import Project="Ptx.targets" />
            </Project>
            """);
        ProcessStartInfo start = new(
            Environment.GetEnvironmentVariable("DOTNET_HOST_PATH") ?? "dotnet", ["msbuild", "planted.proj", "-t:CheckPtx", "-nologo", "-nodeReuse:false", "-verbosity:minimal"])
        {
            WorkingDirectory = _folder,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        using Process process = Process.Start(start)!;
        Task<string> errors = process.StandardError.ReadToEndAsync();
        string output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return (process.ExitCode, output + errors.Result);
    }

    private void Write(string name, string text)
    {
        string path = Path.Combine(_folder, name);
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        File.WriteAllText(path, text);
    }
}
