using System.Globalization;
using CrossAlign.Runtime;
using CrossAlign.Runtime.Cuda;

namespace CrossAlign.Models.Profiling;

/// <summary>What a profile was taken on.</summary>
/// <param name="Version">Version of the program.</param>
/// <param name="Commit">The commit that it was built from, or null.</param>
/// <param name="Device">The device.</param>
/// <param name="SimdTier">The width of its vectors.</param>
/// <param name="Threads">Threads that compute.</param>
/// <param name="PeakGflops">Its rate of float32 matrix products, measured at the start; 0 on an emulated device, which has none.</param>
/// <param name="MemoryBytes">Memory that was available at the start.</param>
/// <param name="Started">When.</param>
public sealed record ProfileMachine(
    string Version, string? Commit, string Device, string SimdTier, int Threads, double PeakGflops, long MemoryBytes, DateTimeOffset Started)
{
    private static readonly TimeSpan s_measured = TimeSpan.FromMilliseconds(500);

    /// <summary>Looks at this machine.</summary>
    /// <param name="threads">Threads that compute; 0 for one a processor.</param>
    /// <returns>What it is.</returns>
    public static ProfileMachine Look(int threads)
    {
        using CpuDevice device = new(threads);
        double rate = Kernels.MatMulRate.MeasureGflops(device, MatMulPrecision.Float32, s_measured);
        return new ProfileMachine(
            ProgramVersion.Number, ProgramVersion.Commit, device.Name, CpuFeatures.Tier.ToString(), device.Workers.ThreadCount, rate, MachineMemory.AvailableByteCount(), DateTimeOffset.UtcNow);
    }

    /// <summary>Looks at a CUDA device.</summary>
    /// <param name="device">The device.</param>
    /// <returns>What it is.</returns>
    public static ProfileMachine Look(CudaDevice device)
    {
        ArgumentNullException.ThrowIfNull(device);
        double rate = device.Emulation is null ? Kernels.MatMulRate.MeasureGflops(device, MatMulPrecision.Float32, s_measured) : 0;
        string capability = string.Create(CultureInfo.InvariantCulture, $"sm_{device.ComputeCapability}");
        return new ProfileMachine(
            ProgramVersion.Number, ProgramVersion.Commit, $"{device.Name} ({device.Model})", capability, 1, rate, device.MemoryByteCount - device.Pool.LiveByteCount, DateTimeOffset.UtcNow);
    }
}
