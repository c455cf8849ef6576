namespace CrossAlign.Models.Diagnostics;

/// <summary>What a machine has for this program, and what it has not.</summary>
/// <param name="Version">The program's version.</param>
/// <param name="Commit">The commit it was built from; null where unknown.</param>
/// <param name="OperatingSystem">Its name and version.</param>
/// <param name="Framework">The .NET runtime.</param>
/// <param name="CacheFolder">Where fetched data is kept.</param>
/// <param name="CacheFreeByteCount">Free space there; null where it cannot be told.</param>
/// <param name="Processor">The processor.</param>
/// <param name="CudaBinding">By what calls reach the driver and cuBLAS: <c>own</c>, or the name of another implementation that the program was built with.</param>
/// <param name="CudaDriver">The CUDA driver's library.</param>
/// <param name="Cublas">The cuBLAS library.</param>
/// <param name="MatMul">Which matrix product runs on CUDA devices: <c>cuBLAS</c> or <c>own</c>.</param>
/// <param name="CudaDevices">The CUDA devices.</param>
/// <param name="Operations">The operations and their backends.</param>
/// <param name="Tools">Programs that something here calls.</param>
/// <param name="Absences">What is missing, why, and what to do.</param>
public sealed record MachineReport(
    string Version,
    string? Commit,
    string OperatingSystem,
    string Framework,
    string CacheFolder,
    long? CacheFreeByteCount,
    ProcessorReport Processor,
    string CudaBinding,
    LibraryReport CudaDriver,
    LibraryReport Cublas,
    string MatMul,
    IReadOnlyList<CudaDeviceReport> CudaDevices,
    IReadOnlyList<OperationReport> Operations,
    IReadOnlyList<ToolReport> Tools,
    IReadOnlyList<Absence> Absences)
{
    /// <summary>The form of the document.</summary>
    public string Schema { get; } = "crossalign/machine/1";
}
