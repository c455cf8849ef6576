using CrossAlign.Runtime.Cuda;
using CrossAlign.Runtime.Cuda.Emulation;

namespace CrossAlign.Runtime.Tests.Cuda;

/// <summary>The emulated driver, whose launches are counted and not executed.</summary>
internal sealed unsafe class CountingDriver() : ForwardingDriver(new EmulationOptions())
{
    public int Launches { get; private set; }

    public override CuResult LaunchKernel(
        nint function, uint gridX, uint gridY, uint gridZ, uint blockX, uint blockY, uint blockZ, uint sharedByteCount, nint stream, void** parameters, void** extra)
    {
        Launches++;
        return CuResult.Success;
    }
}
