using System.Runtime.InteropServices;

namespace CrossAlign.Runtime.Cuda;

/// <summary>A queue of a device's work. What is issued to one stream runs in order; streams run beside each other.</summary>
public sealed class CudaStream : SafeHandle
{
    private const uint NonBlocking = 1;

    private readonly CudaDevice _device;

    /// <summary>Makes a stream.</summary>
    /// <param name="device">Its device.</param>
    /// <exception cref="CudaException">The driver refuses.</exception>
    public CudaStream(CudaDevice device)
        : base(0, ownsHandle: true)
    {
        ArgumentNullException.ThrowIfNull(device);
        _device = device;
        device.MakeCurrent();
        CudaException.ThrowIfFailed(device.Driver.StreamCreate(out nint stream, NonBlocking), device.Driver);
        SetHandle(stream);
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

    /// <summary>Lets what is issued from now on wait for an event.</summary>
    /// <param name="cudaEvent">The event, recorded already.</param>
    /// <exception cref="CudaException">The driver refuses.</exception>
    public void WaitFor(CudaEvent cudaEvent)
    {
        ArgumentNullException.ThrowIfNull(cudaEvent);
        _device.MakeCurrent();
        CudaException.ThrowIfFailed(_device.Driver.StreamWaitEvent(Handle, cudaEvent.Handle, 0), _device.Driver);
    }

    /// <summary>Waits until everything issued so far is done.</summary>
    /// <exception cref="CudaException">Something issued has failed.</exception>
    public void Synchronize()
    {
        _device.MakeCurrent();
        CudaException.ThrowIfFailed(_device.Driver.StreamSynchronize(Handle), _device.Driver);
    }

    /// <inheritdoc/>
    protected override bool ReleaseHandle()
    {
        if (_device.IsOpen)
        {
            _device.MakeCurrent();
            _device.Driver.StreamDestroy(handle);
        }

        return true;
    }
}
