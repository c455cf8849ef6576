using CrossAlign.Runtime;

namespace CrossAlign.Models.Profiling;

/// <summary>What a profile was taken on.</summary>
/// <param name="Version">Version of the program.</param>
/// <param name="Commit">The commit that it was built from, or null.</param>
/// <param name="Device">The device.</param>
/// <param name="SimdTier">The width of its vectors.</param>
/// <param name="Threads">Threads that compute.</param>
/// <param name="PeakGflops">Its rate of float32 matrix products, measured at the start.</param>
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
}
