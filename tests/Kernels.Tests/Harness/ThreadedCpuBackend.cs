using CrossAlign.Runtime;

namespace CrossAlign.Kernels.Tests.Harness;

/// <summary>The processor with a chosen number of threads.</summary>
public sealed class ThreadedCpuBackend(int threadCount) : Backend
{
    public override Device Device { get; } = new CpuDevice(threadCount);
}
