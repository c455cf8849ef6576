namespace CrossAlign.Models.Diagnostics;

/// <summary>An operation and who can compute it.</summary>
/// <param name="Name">The operation.</param>
/// <param name="Cpu">Whether there is a CPU backend: always.</param>
/// <param name="Cuda">Whether there is a CUDA backend.</param>
/// <param name="CudaKernels">The kernels of its own.</param>
public sealed record OperationReport(string Name, bool Cpu, bool Cuda, IReadOnlyList<string> CudaKernels);
