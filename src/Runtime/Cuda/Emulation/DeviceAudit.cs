namespace CrossAlign.Runtime.Cuda.Emulation;

/// <summary>The steps that a program made the device take, counted.</summary>
/// <param name="LaunchCount">Kernels launched, those of graphs included.</param>
/// <param name="GraphLaunchCount">Graphs launched.</param>
/// <param name="SynchronizationCount">Calls that made the host wait.</param>
/// <param name="AllocationCount">Allocations of device memory.</param>
/// <param name="HostToDeviceByteCount">Bytes copied to the device.</param>
/// <param name="DeviceToHostByteCount">Bytes copied to the host.</param>
/// <param name="LiveByteCount">Device memory held at present.</param>
/// <param name="PeakByteCount">The most device memory held at once.</param>
public readonly record struct DeviceAudit(
    long LaunchCount, long GraphLaunchCount, long SynchronizationCount, long AllocationCount, long HostToDeviceByteCount, long DeviceToHostByteCount, long LiveByteCount, long PeakByteCount);
