using CrossAlign.Runtime;
using CrossAlign.Runtime.Cuda;

namespace CrossAlign.Kernels.Tests.Harness;

/// <summary>
/// While it lives, a CUDA device forms its matrix products itself: for claims about bits that hold with our products only, on a device
/// that has cuBLAS too. On any other device it does nothing.
/// </summary>
internal sealed class OwnProducts : IDisposable
{
    private readonly CudaDevice? _device;
    private readonly MatMulEngine _before;

    public OwnProducts(Device device)
    {
        _device = device as CudaDevice;
        if (_device is not null)
        {
            _before = _device.MatMulEngine;
            _device.MatMulEngine = MatMulEngine.Own;
        }
    }

    public void Dispose() => _device?.MatMulEngine = _before;
}
