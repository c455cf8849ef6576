using System.Runtime.InteropServices;

namespace CrossAlign.Runtime;

/// <summary>
/// A piece of a device's memory. The owner disposes it; the finalizer is only the last resort. On the CPU the handle is an
/// address of the process, on a CUDA device an address of the device.
/// </summary>
public abstract class DeviceMemory : SafeHandle
{
    /// <summary>Wraps an address that the derived class has taken.</summary>
    /// <param name="device">The device that the memory belongs to.</param>
    /// <param name="address">Its address.</param>
    /// <param name="byteCount">Its size.</param>
    protected DeviceMemory(Device device, nint address, long byteCount)
        : base(0, ownsHandle: true)
    {
        Device = device;
        ByteCount = byteCount;
        SetHandle(address);
    }

    /// <summary>The device that the memory belongs to.</summary>
    public Device Device { get; }

    /// <summary>Its size in bytes.</summary>
    public long ByteCount { get; }

    /// <summary>Its address: of the process for the CPU, of the device for CUDA.</summary>
    /// <exception cref="ObjectDisposedException">The memory was given back.</exception>
    public nint Address
    {
        get
        {
            ObjectDisposedException.ThrowIf(IsClosed, this);
            return handle;
        }
    }

    /// <inheritdoc/>
    public override bool IsInvalid => handle == 0;
}
