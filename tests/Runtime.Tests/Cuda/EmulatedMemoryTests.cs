using CrossAlign.Runtime.Cuda;
using CrossAlign.Runtime.Cuda.Emulation;

namespace CrossAlign.Runtime.Tests.Cuda;

/// <summary>The emulated device never touches memory of its own process that it has not got, whatever a kernel or a caller does.</summary>
public sealed class EmulatedMemoryTests
{
    [Fact]
    public async Task TheDeviceIsNotTakenDownWhileAnotherThreadIsInTheMiddleOfACall()
    {
        // As a finalizer does that frees memory which nobody disposed: the call first does what the streams have to do.
        EmulatedDriver driver = new(new EmulationOptions());
        Assert.Equal(CuResult.Success, driver.MemAlloc(out ulong address, 4096));
        using ManualResetEventSlim inside = new();
        using ManualResetEventSlim goOn = new();
        long held = -1;
        Assert.Equal(CuResult.Success, driver.Enqueue(0, () =>
        {
            inside.Set();
            goOn.Wait();
            held = driver.Require(address, 4096, "memory in use").ByteCount;
        }));
        Task<CuResult> free = Task.Run(() => driver.MemFree(address), TestContext.Current.CancellationToken);
        inside.Wait(TestContext.Current.CancellationToken);
        Task dispose = Task.Run(driver.Dispose, TestContext.Current.CancellationToken);
        bool early = await Task.WhenAny(dispose, Task.Delay(100, TestContext.Current.CancellationToken)) == dispose;
        goOn.Set();
        Assert.Equal(CuResult.Success, await free);
        await dispose;
        Assert.Equal((false, 4096L), (early, held));
        Assert.Equal(CuResult.InvalidValue, driver.MemFree(address));
        Assert.Equal(CuResult.OutOfMemory, driver.MemAlloc(out _, nuint.MaxValue));
        driver.Dispose();
    }

    [Theory]
    [InlineData("ld.param.u64 %rd6, [bench_param_1+8];", "ld.param.u64 %rd6, [bench_param_1+0];", "parameter")]
    [InlineData("ld.param.u64 %rd6, [bench_param_0+-8];", "ld.param.u32 %r10, [bench_param_0+4];", "parameter")]
    [InlineData("ld.global.v4.u64 {%rd6, %rd7, %rd8, %rd9}, [%rd1];", "ld.global.v2.u64 {%rd6, %rd7}, [%rd1];", "size")]
    [InlineData("st.shared.v4.f64 [tile], {%fd1, %fd2, %fd3, %fd4};", "st.shared.v2.f64 [tile], {%fd1, %fd2};", "size")]
    [InlineData("mov.u32 %r10, tile; cp.async.cg.shared.global [%r10], [%rd1], 32;", "mov.u32 %r10, tile; cp.async.cg.shared.global [%r10], [%rd1], 16;", "size")]
    [InlineData("mov.u32 %r10, tile; cp.async.ca.shared.global [%r10], [%r11], 4;", "mov.u32 %r10, tile; cp.async.ca.shared.global [%r10], [%rd1], 4;", "address of global memory")]
    [InlineData("ld.global.u32 %r10, [%p1];", "ld.global.u32 %r10, [%rd1];", "address")]
    [InlineData("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%r10, %r11, %r12, %r13, %r14}, [tile];", "ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%r10, %r11, %r12, %r13}, [tile];", "4 registers in braces")]
    [InlineData(
        "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%f1, %f2, %f3, %f4}, {%r1, %r1, %r1, %r1}, {%r1}, {%f1, %f2, %f3, %f4};",
        "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%f1, %f2, %f3, %f4}, {%r1, %r1, %r1, %r1}, {%r1, %r1}, {%f1, %f2, %f3, %f4};",
        "registers")]
    [InlineData("atom.global.inc.u64 %rd6, [%rd1], 5;", "atom.global.inc.u32 %r10, [%rd1], 5;", "no form of atom")]
    [InlineData("atom.global.add.u16 %rs1, [%rd1], 5;", "atom.global.add.u32 %r10, [%rd1], 5;", "no form of atom")]
    [InlineData("setp.eq.u32 %p1, %r1, 0; @%p1", "setp.eq.u32 %p1, %r1, 0; @%p1 ret;", "last instruction")]
    public void AnInstructionThatNoDeviceHasIsRefusedWhenItIsLoaded(string wrong, string right, string words)
    {
        CudaException e = Assert.Throws<CudaException>(() => new PtxBench(wrong).Dispose());
        Assert.Equal(CuResult.InvalidPtx, e.Result);
        Assert.Contains(words, e.Message, StringComparison.Ordinal);
        new PtxBench(right).Dispose();
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public unsafe void AGraphThatCopiesWithPageLockedMemoryOfTheHostNoticesThatItWasFreed(bool up)
    {
        using CudaDevice device = CudaDevice.Emulate(new EmulationOptions());
        Tensor tensor = device.NewTensor(DType.Int32, new Shape(8));
        PinnedMemory host = new(device, 32);
        host.Span.Fill(3);
        using CudaGraph graph = CudaGraph.Capture(device, () => Assert.Equal(CuResult.Success, up
            ? device.Driver.MemcpyHtoDAsync((ulong)tensor.Address, host.Pointer, 32, device.Stream.Handle)
            : device.Driver.MemcpyDtoHAsync(host.Pointer, (ulong)tensor.Address, 32, device.Stream.Handle)));
        graph.Launch();
        device.Synchronize();
        Assert.Equal(up ? 0x03030303 : 0, tensor.ToArray<int>()[7]);
        Assert.Equal(up ? 3 : 0, host.Span[31]);
        host.Dispose();
        graph.Launch();
        CudaException e = Assert.Throws<CudaException>(device.Synchronize);
        Assert.Equal(CuResult.IllegalAddress, e.Result);
        Assert.Contains("page-locked memory of the host was freed", e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public unsafe void ACopyToPageableMemoryHasEndedWhenTheCallReturns()
    {
        using CudaDevice device = CudaDevice.Emulate(new EmulationOptions());
        Tensor tensor = device.NewTensor(DType.Int32, new Shape(4));
        tensor.CopyFrom<int>([1, 2, 3, 4]);
        int* host = stackalloc int[4];
        Assert.Equal(CuResult.Success, device.Driver.MemcpyDtoHAsync(host, (ulong)tensor.Address, 16, device.Stream.Handle));
        Assert.Equal([1, 2, 3, 4], new ReadOnlySpan<int>(host, 4));

        nint address = (nint)host;
        CuResult captured = CuResult.Success;
        CudaException e = Assert.Throws<CudaException>(() => CudaGraph.Capture(
            device, () => captured = device.Driver.MemcpyDtoHAsync((void*)address, (ulong)tensor.Address, 16, device.Stream.Handle)));
        Assert.Equal((CuResult.StreamCaptureUnsupported, CuResult.StreamCaptureInvalidated), (captured, e.Result));
    }
}
