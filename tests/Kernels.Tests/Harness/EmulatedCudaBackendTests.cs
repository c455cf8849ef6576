using CrossAlign.Runtime;
using CrossAlign.Runtime.Cuda;

namespace CrossAlign.Kernels.Tests.Harness;

/// <summary>Tests that each leave a broken device behind, waited for or not, and that each must find a sound one.</summary>
public abstract class EmulatedCudaBackendTests(EmulatedCudaBackend backend)
{
    [Theory]
    [InlineData(1, true)]
    [InlineData(2, true)]
    [InlineData(3, false)]
    [InlineData(4, false)]
    public void AFaultStaysInItsTest(int number, bool waits)
    {
        Tensor sound = backend.Upload(DType.Float32, new Shape(4), [number, 1, 2, 3]);
        Tensor output = backend.Poisoned(DType.Float32, new Shape(4));
        Residual.Add(sound, sound, output);
        Assert.Equal([2f * number, 2, 4, 6], backend.Download(output));
        backend.CheckGuards();

        Tensor unwritten = backend.Poisoned(DType.Float32, new Shape(4));
        Residual.Add(sound, unwritten, output);
        if (waits)
        {
            Assert.Equal(CuResult.LaunchFailed, Assert.Throws<CudaException>(backend.Device.Synchronize).Result);

            // In this test it stays.
            Assert.Equal(CuResult.LaunchFailed, Assert.Throws<CudaException>(() => backend.Upload(DType.Float32, new Shape(1), [1])).Result);
        }
    }
}

public sealed class EmulatedCudaForwardBackendTests(EmulatedCudaForward backend) : EmulatedCudaBackendTests(backend), IClassFixture<EmulatedCudaForward>;

public sealed class EmulatedCudaCublasBackendTests(EmulatedCudaCublas backend) : EmulatedCudaBackendTests(backend), IClassFixture<EmulatedCudaCublas>;
