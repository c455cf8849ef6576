using System.ComponentModel;
using System.Diagnostics;
using System.Globalization;
using System.Text.RegularExpressions;
using CrossAlign.Runtime.Cuda.Native;

namespace CrossAlign.Kernels.Tests.Native;

/// <summary>
/// The native boundary: a small C library exports the entry points of the driver and of cuBLAS and forwards them to the emulated device of a
/// child process, in which the tests of real GPUs then run over the program's own binding, symbol names and calling convention included.
/// </summary>
public sealed class NativeBindingTests
{
    [Fact]
    public void TheGpuSuiteRunsOverTheBinding()
    {
        string output = RunGpuTests([], "--filter-class", "CrossAlign.Kernels.Tests.Cuda*", "--filter-not-namespace", "CrossAlign.Kernels.Tests.Cuda");
        Assert.True(Count(output, "succeeded") >= 40, output);
    }

    [Fact]
    public void ADriverOfCuda11Point0CapturesGraphsToo()
    {
        string output = RunGpuTests(
            ["-DDRIVER_OF_CUDA_11_0"], "--filter-method", $"{typeof(CudaSimilarityLiveRowsTests).FullName}.{nameof(CudaSimilarityLiveRowsTests.RowsWithoutAnImageGiveANaNLossUntilTheyHaveOne)}");
        Assert.True(Count(output, "succeeded") == 1, output);
    }

    private static string RunGpuTests(string[] options, params string[] filter)
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "The forwarding library is built on Linux only.");
        string folder = Directory.CreateTempSubdirectory("crossalign-forward-").FullName;
        try
        {
            string library = Path.Combine(folder, "libcrossalign-forward.so");
            string source = Path.Combine(AppContext.BaseDirectory, "Native", "forward.c");
            (int built, string messages) = Run("cc", [], ["-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", .. options, "-o", library, source]);
            if (built == NoSuchProgram)
            {
                Assert.False(Environment.GetEnvironmentVariable("CI") == "true", "There is no C compiler, and the native boundary must be tested in CI.");
                Assert.Skip("There is no C compiler to build the forwarding library with.");
            }

            Assert.True(built == 0, messages);
            string test = Path.Combine(AppContext.BaseDirectory, "CrossAlign.Kernels.Tests.dll");
            (int status, string output) = Run(
                Environment.GetEnvironmentVariable("DOTNET_HOST_PATH") ?? "dotnet",
                [(CudaLibraries.DriverVariable, library), (CudaLibraries.CublasVariable, library), (CudaLibraries.NvtxVariable, library), (EmulatedNativeDriver.Variable, library)],
                ["exec", test, .. filter]);
            Assert.True(status == 0, output);
            Assert.True(Count(output, "skipped") == 0, output);
            return output;
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private const int NoSuchProgram = int.MinValue;

    private static int Count(string output, string what)
    {
        Match match = Regex.Match(output, $@"^\s*{what}: (\d+)", RegexOptions.Multiline);
        return match.Success ? int.Parse(match.Groups[1].ValueSpan, CultureInfo.InvariantCulture) : -1;
    }

    private static (int Status, string Output) Run(string program, (string Name, string Value)[] variables, params string[] arguments)
    {
        ProcessStartInfo start = new(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true };
        foreach ((string name, string value) in variables)
        {
            start.Environment[name] = value;
        }

        try
        {
            using Process process = Process.Start(start)!;
            Task<string> errors = process.StandardError.ReadToEndAsync();
            string output = process.StandardOutput.ReadToEnd();
            process.WaitForExit();
            return (process.ExitCode, output + errors.Result);
        }
        catch (Win32Exception)
        {
            return (NoSuchProgram, string.Empty);
        }
    }
}
