using CrossAlign.Runtime;
using CrossAlign.Runtime.Cuda;
using CrossAlign.Runtime.Cuda.Emulation;

namespace CrossAlign.Kernels.Tests.Harness;

/// <summary>
/// The emulated device with one of the standard variations: an order of blocks and warps, and a way to use the freedom of approximate
/// and tensor-core instructions. Every operation runs on three of them. A fault spoils the device for the rest of its test only: the next
/// test of the class finds a new one.
/// </summary>
public abstract class EmulatedCudaBackend(EmulationOptions options, MatMulEngine engine = MatMulEngine.Own) : Backend
{
    private CudaDevice? _device;
    private string? _test;

    protected EmulatedCudaBackend(ulong seed, MatMulEngine engine = MatMulEngine.Own)
        : this(EmulationOptions.ForSeed(seed), engine)
    {
    }

    public override Device Device => Cuda;

    public CudaDevice Cuda
    {
        get
        {
            string? test = TestContext.Current.Test?.UniqueID;
            if (_device is not null && test != _test && _device.Driver.CtxSynchronize() != CuResult.Success)
            {
                // Kernels that the last test has not waited for are among those that fail here.
                DisposeTensors();
                _device.Dispose();
                _device = null;
            }

            _test = test;
            return _device ??= Open();
        }
    }

    protected override void OnPoisoned(in Tensor tensor)
    {
        if (tensor.ByteCount > 0)
        {
            Cuda.Emulation!.MarkUninitialised(tensor.Address, tensor.ByteCount);
        }
    }

    private CudaDevice Open()
    {
        CudaDevice device = CudaDevice.Emulate(options);
        device.MatMulEngine = engine;
        return device;
    }
}

/// <summary>Blocks and warps forward, instructions as exact as they can be.</summary>
public sealed class EmulatedCudaForward() : EmulatedCudaBackend(0);

/// <summary>Blocks and warps backward, approximate instructions high, tensor cores truncating by 4.</summary>
public sealed class EmulatedCudaReverse() : EmulatedCudaBackend(1);

/// <summary>Any order, approximate instructions low, tensor cores truncating by 8.</summary>
public sealed class EmulatedCudaRandom() : EmulatedCudaBackend(2);

/// <summary>A device whose grids have 16 rows of blocks at most, where a real one has 65535: what a launch does beyond the limit shows at small shapes.</summary>
public sealed class EmulatedCudaShortGrid() : EmulatedCudaBackend(new EmulationOptions { MaxGridRows = 16 });

/// <summary>The emulated device whose matrix products go through its cuBLAS, as those of a GPU with that library do.</summary>
public sealed class EmulatedCudaCublas() : EmulatedCudaBackend(0, MatMulEngine.Cublas);

/// <summary>The first real GPU; its tests are skipped where there is none.</summary>
public sealed class CudaBackend : Backend
{
    private CudaDevice? _device;

    public override Device Device => _device ??= Open();

    public override void Dispose()
    {
        if (_device is not null)
        {
            base.Dispose();
        }

        GC.SuppressFinalize(this);
    }

    private static CudaDevice Open()
    {
        Assert.SkipWhen(CudaDevice.UnavailableReason is not null, $"No real GPU: {CudaDevice.UnavailableReason}");
        return CudaDevice.Open("cuda");
    }
}
