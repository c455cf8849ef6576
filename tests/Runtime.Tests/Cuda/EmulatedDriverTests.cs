using System.Text;
using CrossAlign.Runtime.Cuda;
using CrossAlign.Runtime.Cuda.Emulation;

namespace CrossAlign.Runtime.Tests.Cuda;

/// <summary>What the emulated driver answers to calls that a device refuses: a result, as the driver's documentation has it, and never an exception.</summary>
public sealed unsafe class EmulatedDriverTests
{
    private const string Nothing = "mov.u32 %r10, 1;";

    [Theory]
    [InlineData(80, "7.8", "sm_90", CuResult.NoBinaryForGpu)]
    [InlineData(80, "8.0", "sm_90a", CuResult.NoBinaryForGpu)]
    [InlineData(80, "7.1", "sm_86", CuResult.NoBinaryForGpu)]
    [InlineData(86, "7.8", "sm_90", CuResult.NoBinaryForGpu)]
    [InlineData(90, "7.8", "sm_90", CuResult.Success)]
    [InlineData(86, "7.0", "sm_80", CuResult.Success)]
    public void AModuleOfANewerTargetIsRefusedAlsoWhereANewerDeviceHasTakenIt(int computeCapability, string version, string target, CuResult expected)
    {
        string ptx = PtxBench.Wrap(Nothing, version: version, target: target);
        using EmulatedDriver newest = new(new EmulationOptions { ComputeCapability = 90 });
        Assert.Equal(CuResult.Success, Load(newest, ptx, out _));
        using EmulatedDriver driver = new(new EmulationOptions { ComputeCapability = computeCapability });
        Assert.Equal(expected, Load(driver, ptx, out _));
        Assert.Equal(expected != CuResult.Success, driver.ErrorDetail?.Contains($"the device is sm_{computeCapability}", StringComparison.Ordinal) ?? false);
    }

    [Theory]
    [InlineData("")]
    [InlineData("\u0001\u0002")]
    [InlineData("frobnicate.b32 %r10, %r11;")]
    public void AModuleThatIsNoneIsRefused(string body)
    {
        using EmulatedDriver driver = new(new EmulationOptions());
        string ptx = body.Length > 2 ? PtxBench.Wrap(body) : body;
        Assert.NotEqual(CuResult.Success, Load(driver, ptx, out _));
        Assert.False(string.IsNullOrEmpty(driver.ErrorDetail));
    }

    // Along x a block and a grid may be longest; a number of blocks that no host can run is answered as what it is.
    [Theory]
    [InlineData(1, 1, 1, 1, 1, 64, CuResult.Success)]
    [InlineData(1, 1, 1, 1, 1, 65, CuResult.InvalidValue)]
    [InlineData(1, 1, 1, 1024, 1, 1, CuResult.Success)]
    [InlineData(1, 1, 1, 1, 1024, 1, CuResult.Success)]
    [InlineData(1, 1, 1, 1025, 1, 1, CuResult.LaunchOutOfResources)]
    [InlineData(1, 1, 1, 32, 33, 1, CuResult.LaunchOutOfResources)]
    [InlineData(1, 1, 1, 0x80000000, 0x80000000, 4, CuResult.LaunchOutOfResources)]
    [InlineData(1, 1, 1, 0, 1, 1, CuResult.InvalidValue)]
    [InlineData(100_000, 1, 1, 1, 1, 1, CuResult.Success)]
    [InlineData(1, 65535, 1, 1, 1, 1, CuResult.Success)]
    [InlineData(1, 65536, 1, 1, 1, 1, CuResult.InvalidValue)]
    [InlineData(1, 1, 65536, 1, 1, 1, CuResult.InvalidValue)]
    [InlineData(0x80000000, 1, 1, 1, 1, 1, CuResult.InvalidValue)]
    [InlineData(100_000, 65535, 2, 1, 1, 1, CuResult.NotSupported)]
    [InlineData(0x7FFFFFFF, 65535, 65535, 1, 1, 1, CuResult.NotSupported)]
    public void TheLimitsOfALaunchAreThoseOfADevice(uint gridX, uint gridY, uint gridZ, uint blockX, uint blockY, uint blockZ, CuResult expected)
    {
        using EmulatedDriver driver = new(new EmulationOptions());
        Assert.Equal(expected, Launch(driver, 0, gridX, gridY, gridZ, blockX, blockY, blockZ));
        Assert.Equal(CuResult.Success, driver.CtxSynchronize());
        Assert.Equal(expected == CuResult.Success ? 1 : 0, driver.Audit.LaunchCount);
    }

    [Theory]
    [InlineData(0, CuResult.StreamCaptureImplicit, CuResult.StreamCaptureInvalidated)]
    [InlineData(1, CuResult.Success, CuResult.Success)]
    public void TheLegacyStreamIsRefusedWhileABlockingStreamIsCaptured(uint flags, CuResult expected, CuResult end)
    {
        using EmulatedDriver driver = new(new EmulationOptions());
        Assert.Equal(CuResult.Success, driver.StreamCreate(out nint stream, flags));
        Assert.Equal(CuResult.Success, driver.StreamBeginCapture(stream, 0));
        Assert.Equal(CuResult.Success, Launch(driver, stream, 1, 1, 1, 1, 1, 1));
        Assert.Equal(expected, Launch(driver, 0, 1, 1, 1, 1, 1, 1));
        Assert.Equal(end, driver.StreamEndCapture(stream, out _));

        // Behind the capture it may be used again.
        Assert.Equal(CuResult.Success, Launch(driver, 0, 1, 1, 1, 1, 1, 1));
        Assert.Equal(CuResult.Success, driver.CtxSynchronize());
    }

    // The modes of CUstreamCaptureMode: global, of the thread, relaxed.
    [Theory]
    [InlineData(0, CuResult.StreamCaptureUnsupported, CuResult.StreamCaptureUnsupported)]
    [InlineData(1, CuResult.StreamCaptureUnsupported, CuResult.Success)]
    [InlineData(2, CuResult.Success, CuResult.Success)]
    public void ACaptureForbidsAllocationsToTheThreadsOfItsMode(int mode, CuResult here, CuResult elsewhere)
    {
        using EmulatedDriver driver = new(new EmulationOptions());
        Assert.Equal(CuResult.Success, driver.StreamCreate(out nint stream, 1));
        Assert.Equal(CuResult.Success, driver.StreamBeginCapture(stream, mode));
        CuResult other = CuResult.Unknown;
        Thread thread = new(() => other = driver.MemAlloc(out _, 256));
        thread.Start();
        thread.Join();
        Assert.Equal(elsewhere, other);
        Assert.Equal(here, driver.MemAlloc(out _, 256));
        Assert.Equal(CuResult.StreamCaptureUnsupported, driver.StreamSynchronize(stream));
        Assert.Equal(CuResult.StreamCaptureInvalidated, driver.StreamEndCapture(stream, out _));
    }

    [Fact]
    public void TheLegacyStreamCannotJoinACapture()
    {
        using EmulatedDriver driver = new(new EmulationOptions());
        Assert.Equal(CuResult.Success, driver.StreamCreate(out nint stream, 1));
        Assert.Equal(CuResult.Success, driver.EventCreate(out nint forked, 0));
        Assert.Equal(CuResult.Success, driver.StreamBeginCapture(stream, 0));
        Assert.Equal(CuResult.Success, driver.EventRecord(forked, stream));
        Assert.Equal(CuResult.StreamCaptureImplicit, driver.StreamWaitEvent(0, forked, 0));
        Assert.Equal(CuResult.StreamCaptureInvalidated, driver.StreamEndCapture(stream, out _));
    }

    [Fact]
    public void SizesThatNoHostHasAreRefused()
    {
        using EmulatedDriver driver = new(new EmulationOptions());
        byte here = 0;
        Assert.Equal(CuResult.OutOfMemory, driver.MemAllocHost(out _, nuint.MaxValue / 2));
        Assert.Equal(CuResult.OutOfMemory, driver.MemAlloc(out _, nuint.MaxValue));
        Assert.Equal(CuResult.NotSupported, driver.MemcpyHtoDAsync(0x1000, &here, nuint.MaxValue / 2, 0));
        Assert.Equal(CuResult.NotSupported, driver.MemcpyDtoHAsync(&here, 0x1000, nuint.MaxValue / 2, 0));
        Assert.Equal(CuResult.Success, driver.MemAlloc(out ulong address, 256));
        Assert.Equal(CuResult.Success, driver.MemsetD8Async(address + 1, 1, nuint.MaxValue, 0));
        Assert.NotEqual(CuResult.Success, driver.CtxSynchronize());
    }

    private static CuResult Launch(EmulatedDriver driver, nint stream, uint gridX, uint gridY, uint gridZ, uint blockX, uint blockY, uint blockZ)
    {
        Assert.Equal(CuResult.Success, Load(driver, PtxBench.Wrap(Nothing), out nint module));
        ulong none = 0;
        void** parameters = stackalloc void*[2] { &none, &none };
        fixed (byte* name = "bench\0"u8)
        {
            Assert.Equal(CuResult.Success, driver.ModuleGetFunction(out nint function, module, name));
            return driver.LaunchKernel(function, gridX, gridY, gridZ, blockX, blockY, blockZ, 0, stream, parameters, null);
        }
    }

    private static CuResult Load(EmulatedDriver driver, string ptx, out nint module)
    {
        fixed (byte* image = Encoding.UTF8.GetBytes(ptx + "\0"))
        {
            return driver.ModuleLoadData(out module, image);
        }
    }
}
