using CrossAlign.Models;
using CrossAlign.Runtime;

namespace CrossAlign.Cli;

/// <summary>Opens the device that <c>--device</c> or a configuration asks for, and says which and why.</summary>
internal static class DeviceOptions
{
    /// <summary>Opens a device.</summary>
    /// <param name="name"><c>auto</c> or null, <c>cpu</c>, <c>cuda</c>, <c>cuda-emulated</c>.</param>
    /// <param name="threads">Threads of the CPU; 0 for one a processor.</param>
    /// <param name="terminal">Where the choice is said.</param>
    /// <exception cref="UserErrorException">There is no such device here.</exception>
    public static Device Open(string? name, int threads, Terminal terminal)
    {
        switch (name)
        {
            case null or "auto" or "cpu":
                CpuDevice cpu = new(threads);
                terminal.Say($"device: cpu, {cpu.Workers.ThreadCount} threads, {CpuFeatures.Tier}{(name is "cpu" ? " (as asked)" : string.Empty)}");
                return cpu;
            default:
                throw new WrongInvocationException(new UserErrorException($"there is no device '{name}'", "give cpu"));
        }
    }
}
