using System.ComponentModel;
using System.Diagnostics;
using CrossAlign.Models.Checkpoints;
using CrossAlign.Runtime.Cuda.Native;

namespace CrossAlign.Cli.Tests;

/// <summary>
/// What a person is told where the driver or the GPU fails: the program as a process of its own, over a small C library that stands for a
/// driver and fails one call. The exit code is 1, the error one line with the driver's name of it and what to do.
/// </summary>
public sealed class FailingGpuTests(FailingGpuTests.Driver driver) : IClassFixture<FailingGpuTests.Driver>
{
    [Theory]
    [InlineData("no-such-library.so", null, 0, "'cuda' cannot be opened", "no-such-library.so")]
    [InlineData(null, "cuInit", 100, "cuInit failed with NoDevice (100)", "run doctor, or give --device cpu")]
    [InlineData(null, "FAILING_COUNT", 0, "the driver finds no device", "run doctor, or give --device cpu")]
    [InlineData(null, "FAILING_VERSION", 10020, "the driver supports CUDA 10.2 at most; the kernels need 11.0", "run doctor, or give --device cpu")]
    [InlineData(null, "FAILING_MAJOR", 7, "compute capability 7.0; the kernels need 8.0 or later", "run doctor, or give --device cpu")]
    [InlineData(null, "cuMemAlloc_v2", 2, "CUDA_ERROR_OUT_OF_MEMORY (2) from MemAlloc", "lower batchSize")]
    [InlineData(null, "cuModuleLoadData", 222, "CUDA_ERROR_UNSUPPORTED_PTX_VERSION (222)", "the driver is older than CUDA 11.0; update it")]
    [InlineData(null, "cuModuleLoadData", 209, "CUDA_ERROR_NO_BINARY_FOR_GPU (209)", "the kernels need a GPU of compute capability 8.0 or later")]
    [InlineData(null, "cuLaunchKernel", 701, "CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES (701) from similarity_", "--device cpu")]
    [InlineData(null, "cuStreamSynchronize", 700, "CUDA_ERROR_ILLEGAL_ADDRESS (700) from StreamSynchronize: an earlier kernel failed", "--device cuda-emulated")]
    public void AnErrorIsOneLineWithItsNameAndARemedy(string? library, string? call, int result, string what, string remedy)
    {
        (int status, string error) = driver.Compute(library, call, result);
        Assert.Equal(1, status);
        string line = Assert.Single(error.Split('\n', StringSplitOptions.RemoveEmptyEntries), l => l.StartsWith("error: ", StringComparison.Ordinal));
        Assert.Contains(what, line, StringComparison.Ordinal);
        Assert.Contains(remedy, line, StringComparison.Ordinal);
        Assert.DoesNotContain("   at ", error, StringComparison.Ordinal);
    }

    [Fact]
    public void ADriverThatDoesNotFailGivesNoError()
    {
        // The loss that it computes is zero; what counts is that the library is one that the program runs over.
        (int status, string error) = driver.Compute(null, null, 0);
        Assert.True(status == 0, error);
    }

    /// <summary>The library, built once, and an input for the loss.</summary>
    public sealed class Driver : IDisposable
    {
        private readonly TemporaryFolder _folder = new();
        private readonly string _library;

        public Driver()
        {
            _library = _folder.File("libfailing.so");
            SafetensorsWriter writer = new();
            writer.Add("captions", [4, 8], Enumerable.Range(0, 32).Select(i => (float)Math.Sin(i)).ToArray());
            writer.Add("images", [4, 8], Enumerable.Range(0, 32).Select(i => (float)Math.Cos(i)).ToArray());
            writer.Add("scale", [1], new[] { 2f });
            writer.Save(_folder.File("in.safetensors"));
        }

        public (int Status, string Error) Compute(string? library, string? call, int result)
        {
            Assert.SkipUnless(OperatingSystem.IsLinux(), "The failing driver is built on Linux only.");
            if (!File.Exists(_library))
            {
                Build();
            }

            List<(string, string)> variables = [(CudaLibraries.DriverVariable, library ?? _library), (CudaLibraries.CublasVariable, "no-cublas-here.so")];
            if (call is not null)
            {
                variables.AddRange(call.StartsWith("FAILING_", StringComparison.Ordinal)
                    ? [(call, result.ToString(System.Globalization.CultureInfo.InvariantCulture))]
                    : [("FAILING_CALL", call), ("FAILING_RESULT", result.ToString(System.Globalization.CultureInfo.InvariantCulture))]);
            }

            return Run(
                Environment.GetEnvironmentVariable("DOTNET_HOST_PATH") ?? "dotnet",
                variables,
                "exec",
                Path.Combine(AppContext.BaseDirectory, "crossalign.dll"),
                "compute",
                "loss",
                "--in",
                _folder.File("in.safetensors"),
                "--out",
                _folder.File("out.safetensors"),
                "--device",
                "cuda") ?? throw new InvalidOperationException("There is no dotnet.");
        }

        public void Dispose() => _folder.Dispose();

        private void Build()
        {
            string source = Path.Combine(AppContext.BaseDirectory, "Native", "failing_driver.c");
            if (Run("cc", [], "-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", "-o", _library, source) is not { } built)
            {
                Assert.False(Environment.GetEnvironmentVariable("CI") == "true", "There is no C compiler, and the driver's errors must be tested in CI.");
                Assert.Skip("There is no C compiler to build the failing driver with.");
                return;
            }

            Assert.True(built.Status == 0, built.Error);
        }

        private static (int Status, string Error)? Run(string program, List<(string Name, string Value)> variables, params string[] arguments)
        {
            ProcessStartInfo start = new(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true };
            foreach ((string name, string value) in variables)
            {
                start.Environment[name] = value;
            }

            try
            {
                using Process process = Process.Start(start)!;
                Task<string> output = process.StandardOutput.ReadToEndAsync();
                string error = process.StandardError.ReadToEnd();
                process.WaitForExit();
                _ = output.Result;
                return (process.ExitCode, error);
            }
            catch (Win32Exception)
            {
                return null;
            }
        }
    }
}
