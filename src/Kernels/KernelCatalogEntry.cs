namespace CrossAlign.Kernels;

/// <summary>An operation and who can compute it. Every operation exists for the CPU.</summary>
/// <param name="Operation">The operation's name.</param>
/// <param name="HasCuda">Whether there is a CUDA backend for it.</param>
/// <param name="CudaKernels">The kernels in the PTX that the assembly carries for it; empty for an operation that is made of others'.</param>
public sealed record KernelCatalogEntry(string Operation, bool HasCuda, IReadOnlyList<string> CudaKernels);
