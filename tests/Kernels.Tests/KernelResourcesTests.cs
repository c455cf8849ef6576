using System.Globalization;
using CrossAlign.Kernels.Tests.Harness;
using CrossAlign.Runtime.Cuda;

namespace CrossAlign.Kernels.Tests;

/// <summary>
/// What a thread of each kernel needs. On a GPU as the driver's compiler made it: nothing in local memory, neither spilled registers nor a
/// stack frame. On the emulated device an estimate from the PTX (the registers alive at once), held well below the 255 that a thread has.
/// </summary>
public abstract class KernelResourcesTests(Backend backend)
{
    /// <summary>The most that the estimate may be for any kernel.</summary>
    protected const int MostLiveRegisters = 200;

    protected CudaDevice Device => (CudaDevice)backend.Device;

    [Fact]
    public void NoKernelKeepsAnythingInLocalMemory() =>
        Assert.All(Kernels(), kernel => Assert.Equal(0, kernel.Attribute(CuFunctionAttribute.LocalByteCount)));

    [Fact]
    public void EveryKernelTakesTheThreadsThatItWasCompiledFor()
    {
        // 65536 registers of a multiprocessor: what a block of that many threads leaves each.
        Assert.All(Kernels(), kernel =>
        {
            int threads = kernel.Attribute(CuFunctionAttribute.MaxThreadsPerBlock);
            int registers = kernel.Attribute(CuFunctionAttribute.RegisterCount);
            Assert.True(threads is > 0 and <= 256, string.Create(CultureInfo.InvariantCulture, $"{kernel.Name} was compiled for {threads} threads."));
            Assert.InRange(registers, 1, Math.Min(255, 65536 / threads));
        });
    }

    protected List<CudaKernel> Kernels()
    {
        System.Reflection.Assembly assembly = typeof(LayerNorm).Assembly;
        List<CudaKernel> kernels = [];
        foreach (string resource in assembly.GetManifestResourceNames().Where(n => n.EndsWith(".ptx", StringComparison.Ordinal)).Order(StringComparer.Ordinal))
        {
            using StreamReader reader = new(assembly.GetManifestResourceStream(resource)!);
            while (reader.ReadLine() is { } line)
            {
                if (line.StartsWith(".visible .entry ", StringComparison.Ordinal))
                {
                    string name = line.Split([' ', '('], StringSplitOptions.RemoveEmptyEntries)[2];
                    kernels.Add(Device.Kernel(assembly, Path.GetFileNameWithoutExtension(resource), name));
                }
            }
        }

        Assert.True(kernels.Count >= 100, string.Create(CultureInfo.InvariantCulture, $"Only {kernels.Count} kernels are there."));
        return kernels;
    }
}

public sealed class EmulatedCudaKernelResourcesTests(EmulatedCudaForward backend) : KernelResourcesTests(backend), IClassFixture<EmulatedCudaForward>
{
    [Fact]
    public void NoKernelComesNearTheRegistersOfAThread() => Assert.All(Kernels(), kernel =>
    {
        int registers = kernel.Attribute(CuFunctionAttribute.RegisterCount);
        Assert.True(
            registers <= MostLiveRegisters,
            string.Create(CultureInfo.InvariantCulture, $"{kernel.Name} has {registers} registers alive at once; the most allowed is {MostLiveRegisters}, as the driver's compiler may need more."));
    });
}

public sealed class CudaKernelResourcesTests(CudaBackend backend) : KernelResourcesTests(backend), IClassFixture<CudaBackend>;
