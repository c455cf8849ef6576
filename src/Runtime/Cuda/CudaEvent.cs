using System.Runtime.InteropServices;

namespace CrossAlign.Runtime.Cuda;

/// <summary>A mark in a stream: other streams and the host can wait for it, and two of them measure time.</summary>
public sealed class CudaEvent : SafeHandle
{
    private const uint DisableTiming = 2;

    private readonly CudaDevice _device;

    /// <summary>Makes an event.</summary>
    /// <param name="device">Its device.</param>
    /// <param name="measuresTime">Whether <see cref="ElapsedMs"/> is wanted; without it waiting is cheaper.</param>
    /// <exception cref="CudaException">The driver refuses.</exception>
    public CudaEvent(CudaDevice device, bool measuresTime = false)
        : base(0, ownsHandle: true)
    {
        ArgumentNullException.ThrowIfNull(device);
        _device = device;
        device.MakeCurrent();
        CudaException.ThrowIfFailed(device.Driver.EventCreate(out nint cudaEvent, measuresTime ? 0 : DisableTiming), device.Driver);
        SetHandle(cudaEvent);
    }

    /// <inheritdoc/>
    public override bool IsInvalid => handle == 0;

    internal nint Handle
    {
        get
        {
            ObjectDisposedException.ThrowIf(IsClosed, this);
            return handle;
        }
    }

    /// <summary>Sets the mark behind what was issued to a stream so far.</summary>
    /// <param name="stream">The stream.</param>
    /// <exception cref="CudaException">The driver refuses.</exception>
    public void Record(CudaStream stream)
    {
        ArgumentNullException.ThrowIfNull(stream);
        _device.MakeCurrent();
        CudaException.ThrowIfFailed(_device.Driver.EventRecord(Handle, stream.Handle), _device.Driver);
    }

    /// <summary>Waits until the stream has come to the mark.</summary>
    /// <exception cref="CudaException">Something issued before has failed.</exception>
    public void Synchronize()
    {
        _device.MakeCurrent();
        CudaException.ThrowIfFailed(_device.Driver.EventSynchronize(Handle), _device.Driver);
    }

    /// <summary>The time from this mark to a later one. On an emulated device it stands for work, not for time.</summary>
    /// <param name="end">The later one; both have come to pass and measure time.</param>
    /// <returns>Milliseconds.</returns>
    /// <exception cref="CudaException">One of them has not come to pass.</exception>
    public float ElapsedMs(CudaEvent end)
    {
        ArgumentNullException.ThrowIfNull(end);
        _device.MakeCurrent();
        CudaException.ThrowIfFailed(_device.Driver.EventElapsedTime(out float elapsedMs, Handle, end.Handle), _device.Driver);
        return elapsedMs;
    }

    /// <inheritdoc/>
    protected override bool ReleaseHandle()
    {
        if (_device.IsOpen)
        {
            _device.MakeCurrent();
            _device.Driver.EventDestroy(handle);
        }

        return true;
    }
}
