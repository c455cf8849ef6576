namespace CrossAlign.Models.Diagnostics;

/// <summary>A CUDA device, real or emulated.</summary>
/// <param name="Name">As <c>--device</c> takes it.</param>
/// <param name="Model">The GPU's name.</param>
/// <param name="Emulated">Whether it is the emulated device, whose speed says nothing.</param>
/// <param name="DriverVersion">The newest CUDA version that the driver supports.</param>
/// <param name="ComputeCapability">As in <c>8.0</c>.</param>
/// <param name="MemoryByteCount">Its memory.</param>
/// <param name="Multiprocessors">How many it has.</param>
/// <param name="SharedByteCount">The most shared memory that a block may ask for.</param>
/// <param name="Rates">What was measured; nothing on the emulated device.</param>
public sealed record CudaDeviceReport(
    string Name,
    string Model,
    bool Emulated,
    string DriverVersion,
    string ComputeCapability,
    long MemoryByteCount,
    int Multiprocessors,
    int SharedByteCount,
    RateReport Rates);
