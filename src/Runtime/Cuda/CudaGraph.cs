using System.Runtime.InteropServices;

namespace CrossAlign.Runtime.Cuda;

/// <summary>A captured sequence of work that is launched as one. Arguments and addresses are frozen at capture; what varies is read from device memory.</summary>
public sealed class CudaGraph : SafeHandle
{
    private readonly CudaDevice _device;

    private CudaGraph(CudaDevice device, nint executable)
        : base(0, ownsHandle: true)
    {
        _device = device;
        SetHandle(executable);
    }

    /// <inheritdoc/>
    public override bool IsInvalid => handle == 0;

    // CU_STREAM_CAPTURE_MODE_THREAD_LOCAL: an allocation or a wait of another thread, which works on another device or stream, spoils no capture.
    private const int ThreadLocal = 1;

    /// <summary>Captures what an action issues to the device's stream; nothing is executed. The action must not wait for the device nor take memory.</summary>
    /// <param name="device">The device.</param>
    /// <param name="issue">Issues the work. Run it once before, uncaptured, so that kernels are loaded and working memory is there.</param>
    /// <returns>The graph.</returns>
    /// <exception cref="CudaException">The action did what a capture does not allow, or the driver refuses.</exception>
    public static CudaGraph Capture(CudaDevice device, Action issue)
    {
        ArgumentNullException.ThrowIfNull(device);
        ArgumentNullException.ThrowIfNull(issue);
        ICudaDriver driver = device.Driver;
        device.MakeCurrent();
        CudaException.ThrowIfFailed(driver.StreamBeginCapture(device.Stream.Handle, ThreadLocal), driver);
        nint graph;
        try
        {
            issue();
        }
        catch
        {
            // The stream must leave the capture whatever happened; the action's error is the one to report.
            driver.StreamEndCapture(device.Stream.Handle, out graph);
            driver.GraphDestroy(graph);
            throw;
        }

        CudaException.ThrowIfFailed(driver.StreamEndCapture(device.Stream.Handle, out graph), driver);
        CuResult result = driver.GraphInstantiate(out nint executable, graph, 0);
        driver.GraphDestroy(graph);
        CudaException.ThrowIfFailed(result, driver, "GraphInstantiate");
        device.GraphCreated();
        return new CudaGraph(device, executable);
    }

    /// <summary>Issues the whole graph to the device's stream.</summary>
    /// <exception cref="CudaException">The driver refuses.</exception>
    public void Launch()
    {
        ObjectDisposedException.ThrowIf(IsClosed, this);
        _device.MakeCurrent();
        CudaException.ThrowIfFailed(_device.Driver.GraphLaunch(handle, _device.Stream.Handle), _device.Driver);
    }

    /// <inheritdoc/>
    protected override bool ReleaseHandle()
    {
        if (_device.IsOpen)
        {
            _device.MakeCurrent();
            _device.Driver.GraphExecDestroy(handle);
        }

        return true;
    }
}
