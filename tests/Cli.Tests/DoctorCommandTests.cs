using System.Text.Json;
using CrossAlign.Kernels;
using CrossAlign.Runtime;
using CrossAlign.Runtime.Cuda;
using CrossAlign.Runtime.Cuda.Native;

namespace CrossAlign.Cli.Tests;

public sealed class DoctorCommandTests
{
    [Fact]
    public async Task TheDocumentHoldsWhatTheMachineHasAndWhatItMeasured()
    {
        Invocation run = await Invocation.RunAsync("doctor", "--json", "--measure-seconds", "0", "--threads", "1");
        Assert.Equal(0, run.ExitCode);
        JsonElement report = JsonElement.Parse(run.Output);
        Assert.Equal("crossalign/machine/1", report.GetProperty("schema").GetString());
        JsonElement processor = report.GetProperty("processor");
        Assert.Equal(Environment.ProcessorCount, processor.GetProperty("cores").GetInt32());
        JsonElement used = Assert.Single(processor.GetProperty("tiers").EnumerateArray(), t => t.GetProperty("used").GetBoolean());
        Assert.Equal(CpuFeatures.Tier.ToString(), used.GetProperty("tier").GetString());
        Assert.Equal(Enum.GetValues<SimdTier>().Length, processor.GetProperty("tiers").GetArrayLength());
        Assert.All(processor.GetProperty("tiers").EnumerateArray(), t => Assert.Equal(
            Enum.Parse<SimdTier>(t.GetProperty("tier").GetString()!) <= CpuFeatures.Tier, t.GetProperty("supported").GetBoolean()));

        // Slower than any machine that runs .NET, faster than any processor's memory.
        Assert.InRange(processor.GetProperty("rates").GetProperty("copyGBps").GetDouble(), 0.05, 5000);
        Assert.InRange(processor.GetProperty("rates").GetProperty("matMulGflops").GetDouble(), 0.05, 100_000);
        Assert.Equal(JsonValueKind.Null, processor.GetProperty("rates").GetProperty("matMulTf32Gflops").ValueKind);
        JsonElement bf16 = processor.GetProperty("rates").GetProperty("matMulBFloat16Gflops");
        using CpuDevice cpu = new(1);
        if (MatMulRate.HasBFloat16Unit(cpu))
        {
            Assert.InRange(bf16.GetDouble(), 0.05, 100_000);
        }
        else
        {
            Assert.Equal(JsonValueKind.Null, bf16.ValueKind);
        }

        Assert.InRange(processor.GetProperty("availableByteCount").GetInt64(), 1, long.MaxValue);
        Assert.Equal(CudaLibraries.CublasError is null, report.GetProperty("cublas").GetProperty("found").GetBoolean());
        Assert.Equal(CudaLibraries.DriverError is null, report.GetProperty("cudaDriver").GetProperty("found").GetBoolean());
        Assert.Equal(CudaDevice.DeviceCount, report.GetProperty("cudaDevices").GetArrayLength());
    }

    [Fact]
    public async Task EachAbsenceHasItsReasonAndItsRemedy()
    {
        Invocation run = await Invocation.RunAsync("doctor", "--json", "--no-measurements");
        JsonElement[] absences = [.. JsonElement.Parse(run.Output).GetProperty("absences").EnumerateArray()];
        Assert.All(absences, a => Assert.All((string[])["what", "reason", "remedy"], key => Assert.NotEmpty(a.GetProperty(key).GetString()!)));
        Assert.All(absences, a => Assert.DoesNotContain('\n', a.GetProperty("remedy").GetString()!));
        JsonElement[] gpu = [.. absences.Where(a => a.GetProperty("what").GetString()!.StartsWith("a CUDA GPU", StringComparison.Ordinal))];
        Assert.Equal(CudaDevice.UnavailableReason is null ? 0 : 1, gpu.Length);
        Assert.All(gpu, a => Assert.Equal(CudaDevice.UnavailableReason, a.GetProperty("reason").GetString()));
        Assert.Equal(
            CpuFeatures.Tier == SimdTier.Vector512 ? 0 : 1,
            absences.Count(a => a.GetProperty("what").GetString()!.StartsWith("Vector512", StringComparison.Ordinal)));
    }

    [Fact]
    public async Task TheEmulatedDeviceIsShownWhereItIsAskedForAndHasNoSpeed()
    {
        Invocation run = await Invocation.RunAsync("doctor", "--json", "--no-measurements", "--device", "cuda-emulated:sm_90");
        Assert.Equal(0, run.ExitCode);
        JsonElement device = Assert.Single(
            JsonElement.Parse(run.Output).GetProperty("cudaDevices").EnumerateArray(), d => d.GetProperty("emulated").GetBoolean());
        Assert.Equal("cuda-emulated:sm_90", device.GetProperty("name").GetString());
        Assert.Equal("9.0", device.GetProperty("computeCapability").GetString());
        Assert.Equal(227 * 1024, device.GetProperty("sharedByteCount").GetInt32());
        Assert.Equal(JsonValueKind.Null, device.GetProperty("rates").GetProperty("matMulGflops").ValueKind);
    }

    [Fact]
    public async Task OperationsAreThoseOfTheKernelsAssembly()
    {
        Invocation run = await Invocation.RunAsync("doctor", "--json", "--no-measurements");
        JsonElement[] operations = [.. JsonElement.Parse(run.Output).GetProperty("operations").EnumerateArray()];
        Assert.Equal(KernelCatalog.Operations.Select(o => o.Operation), operations.Select(o => o.GetProperty("name").GetString()));
        Assert.All(operations, o => Assert.True(o.GetProperty("cpu").GetBoolean()));
        JsonElement norm = Assert.Single(operations, o => o.GetProperty("name").GetString() == nameof(LayerNorm));
        Assert.True(norm.GetProperty("cuda").GetBoolean());
        Assert.Contains("layernorm_fwd_bf16", norm.GetProperty("cudaKernels").EnumerateArray().Select(k => k.GetString()));
    }

    [Fact]
    public async Task ForAPersonThereAreLinesAndATable()
    {
        Invocation run = await Invocation.RunAsync("doctor", "--no-measurements", "--device", "cuda-emulated");
        Assert.Equal(0, run.ExitCode);
        Assert.Empty(run.Error);
        Assert.StartsWith("crossalign ", run.Output, StringComparison.Ordinal);
        Assert.Contains("cuda-emulated:sm_80  ", run.Output, StringComparison.Ordinal);
        Assert.Contains("none: an emulated device has no speed", run.Output, StringComparison.Ordinal);
        Assert.Contains(nameof(Attention), run.Output, StringComparison.Ordinal);
        Assert.Contains("remedy: ", run.Output, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("--device", "gpu")]
    [InlineData("--measure-seconds", "-1")]
    [InlineData("--measure-seconds", "1e9")]
    public async Task AWrongInvocationExitsWithTwo(params string[] options)
    {
        Invocation run = await Invocation.RunAsync(["doctor", .. options]);
        Assert.Equal(2, run.ExitCode);
        Assert.StartsWith("error: ", Assert.Single(run.ErrorLines), StringComparison.Ordinal);
    }
}
