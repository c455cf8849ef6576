using System.Runtime.InteropServices;

namespace CrossAlign.Runtime.Cuda;

/// <summary>Page-locked memory of the host, from which the device copies while the host goes on.</summary>
internal sealed unsafe class PinnedMemory : SafeHandle
{
    private readonly CudaDevice _device;

    internal PinnedMemory(CudaDevice device, long byteCount)
        : base(0, ownsHandle: true)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(byteCount);
        _device = device;
        ByteCount = byteCount;
        device.MakeCurrent();
        CudaException.ThrowIfFailed(device.Driver.MemAllocHost(out nint address, (nuint)Math.Max(byteCount, 1)), device.Driver);
        SetHandle(address);
    }

    /// <summary>Its size in bytes.</summary>
    public long ByteCount { get; }

    /// <inheritdoc/>
    public override bool IsInvalid => handle == 0;

    /// <summary>The bytes.</summary>
    public Span<byte> Span => new(Pointer, checked((int)ByteCount));

    internal byte* Pointer
    {
        get
        {
            ObjectDisposedException.ThrowIf(IsClosed, this);
            return (byte*)handle;
        }
    }

    /// <inheritdoc/>
    protected override bool ReleaseHandle()
    {
        if (_device.IsOpen)
        {
            _device.MakeCurrent();
            _device.Driver.MemFreeHost(handle);
        }

        return true;
    }
}
