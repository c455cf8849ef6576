using System.Runtime.InteropServices;
using CrossAlign.Runtime.Cuda;
using CrossAlign.Runtime.Cuda.Emulation;

namespace CrossAlign.Runtime.Tests.Cuda;

/// <summary>Memory, streams, events, graphs and errors, as the driver's documentation has them, on the emulated device.</summary>
public sealed unsafe class CudaDeviceTests
{
    // out[i] = in[i] + 1
    private const string AddOne = "ld.global.u32 %r10, [%rd3]; add.u32 %r10, %r10, 1; st.global.u32 [%rd4], %r10;";

    private static readonly int[] s_numbers = [.. Enumerable.Range(10, 32)];

    [Theory]
    [InlineData("cuda-emulated", 80)]
    [InlineData("cuda-emulated:sm_86", 86)]
    [InlineData("cuda-emulated:sm_90", 90)]
    public void DevicesAreOpenedByName(string spec, int computeCapability)
    {
        using CudaDevice device = CudaDevice.Open(spec);
        Assert.Equal(computeCapability, device.ComputeCapability);
        Assert.Equal(computeCapability switch { 80 => 163, 86 => 99, _ => 227 } * 1024, device.MaxSharedByteCount);
        Assert.Equal(DeviceKind.Cuda, device.Kind);
    }

    [Theory]
    [InlineData("cuda-emulated:sm_75")]
    [InlineData("cuda:x")]
    [InlineData("cpu")]
    public void OtherNamesAreRefused(string spec) => Assert.Throws<ArgumentException>(() => CudaDevice.Open(spec));

    [Fact]
    public void WithoutADeviceTheReasonIsSaidAndNoOtherIsTaken()
    {
        Assert.SkipUnless(CudaDevice.UnavailableReason is not null, "There is a real GPU.");
        NotSupportedException e = Assert.Throws<NotSupportedException>(() => CudaDevice.Open("cuda"));
        Assert.Contains(CudaDevice.UnavailableReason!, e.Message, StringComparison.Ordinal);
        Assert.Contains("--device cpu", e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void TensorsTravelThereAndBack()
    {
        using CudaDevice device = CudaDevice.Emulate(new EmulationOptions());
        int[] many = [.. Enumerable.Range(0, 3_000_000)];
        Tensor a = device.NewTensor(DType.Int32, new Shape(many.Length));
        Tensor b = device.NewTensor(DType.Int32, new Shape(many.Length));
        Assert.All(a.Rows(0, 100).ToArray<int>(), v => Assert.Equal(0, v));
        a.CopyFrom<int>(many);
        device.Copy(a, b);
        device.Zero(a);
        Assert.Equal(many, b.ToArray<int>());
        Assert.Equal(0, a.ToArray<int>().Max());
        a.Memory.Dispose();
        b.Memory.Dispose();
        Assert.Null(device.Pool.LeakReport());
    }

    [Fact]
    public void PooledMemoryIsUsedAgainAndLeaksAreReported()
    {
        CudaDevice device = CudaDevice.Emulate(new EmulationOptions(), poolsMemory: true);
        DeviceMemory first = device.Allocate(1000);
        nint address = first.Address;
        first.Dispose();
        DeviceMemory second = device.Allocate(900);
        Assert.Equal(address, second.Address);
        Assert.Equal(1, device.Pool.DriverAllocationCount);
        using DeviceMemory third = device.Allocate(5000);
        Assert.True(device.Pool.PeakByteCount >= 6000);
        string? report = null;
        device.LeakReporter = r => report = r;
        device.Dispose();
        Assert.Contains("2 allocations", report, StringComparison.Ordinal);
    }

    [Fact]
    public void ThePoolCountsWhatIsHandedOutWhatIsKeptAndTheMostOfIt()
    {
        using CudaDevice device = CudaDevice.Emulate(new EmulationOptions(), poolsMemory: true);
        CudaMemoryPool pool = device.Pool;
        DeviceMemory small = device.Allocate(513);
        DeviceMemory large = device.Allocate((2 << 20) + 1);
        Assert.Equal((1024 + (4 << 20), 2), (pool.LiveByteCount, pool.LiveCount));
        small.Dispose();
        large.Dispose();
        Assert.Equal((0L, 0, 1024L + (4 << 20), 1024L + (4 << 20)), (pool.LiveByteCount, pool.LiveCount, pool.PeakByteCount, pool.ReservedByteCount));

        // Pieces of the same size are used again, and of no other.
        DeviceMemory again = device.Allocate(1000);
        Assert.Equal((1024L, 2L), (pool.LiveByteCount, pool.DriverAllocationCount));
        DeviceMemory other = device.Allocate(100);
        Assert.Equal(3, pool.DriverAllocationCount);
        again.Dispose();
        other.Dispose();
        pool.Trim();
        Assert.Equal((0L, 1024L + (4 << 20)), (pool.ReservedByteCount, pool.PeakByteCount));
        Assert.Null(pool.LeakReport());
    }

    [Fact]
    public void WhatThePoolKeepsIsGivenBackBeforeMemoryRunsOut()
    {
        using CudaDevice device = CudaDevice.Emulate(new EmulationOptions { MemoryByteCount = 1 << 20 }, poolsMemory: true);
        device.Allocate(600 << 10).Dispose();
        using DeviceMemory other = device.Allocate(700 << 10);
        Assert.Equal((700L << 10, 2L), (device.Pool.ReservedByteCount, device.Pool.DriverAllocationCount));
        Assert.ThrowsAny<OutOfMemoryException>(() => device.Allocate(600 << 10));
        Assert.Equal(1, device.Pool.LiveCount);
    }

    [Fact]
    public void MemoryRunsOutInWords()
    {
        using CudaDevice device = CudaDevice.Emulate(new EmulationOptions { MemoryByteCount = 1 << 20 });
        Exception e = Assert.ThrowsAny<OutOfMemoryException>(() => device.Allocate(2 << 20));
        Assert.Contains("CUDA_ERROR_OUT_OF_MEMORY (2)", e.Message, StringComparison.Ordinal);
        device.Allocate(1 << 19).Dispose();
    }

    [Fact]
    public void AnErrorOfAKernelIsSticky()
    {
        using PtxBench bench = new("ld.global.u32 %r10, [%rd3+4096]; st.global.u32 [%rd4], %r10;");
        CudaException first = Assert.Throws<CudaException>(() => bench.Run([1], 32));
        Assert.Equal(CuResult.IllegalAddress, first.Result);
        Assert.Contains("bench, PTX line", first.Message, StringComparison.Ordinal);
        Assert.Contains("block (0, 0, 0), thread (0, 0, 0)", first.Message, StringComparison.Ordinal);
        CudaException second = Assert.Throws<CudaException>(() => bench.Device.Allocate(16));
        Assert.Equal(CuResult.IllegalAddress, second.Result);
        bench.Device.Driver.DevicePrimaryCtxReset(0);
        Assert.Equal(CuResult.Success, bench.Device.Driver.MemAlloc(out _, 16));
    }

    [Fact]
    public void FreedMemoryIsNamed()
    {
        using CudaDevice device = CudaDevice.Emulate(new EmulationOptions());
        using CudaModule module = device.LoadModule("bench", PtxBench.Wrap(AddOne));
        Tensor a = device.NewTensor(DType.Int32, new Shape(32));
        Tensor b = device.NewTensor(DType.Int32, new Shape(32));
        nint address = a.Address;
        a.Memory.Dispose();
        KernelArguments arguments = default;
        arguments.AddAddress(address);
        arguments.Add(b);
        device.Launch(module.Kernel("bench"), 1, 32, ref arguments);
        CudaException e = Assert.Throws<CudaException>(device.Synchronize);
        Assert.Contains("was freed", e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void LaunchesAreChecked()
    {
        using PtxBench bench = new(AddOne);
        Assert.Equal(CuResult.LaunchOutOfResources, Assert.Throws<CudaException>(() => bench.Run([1], 2048, threads: 1056)).Result);
        using CudaModule module = bench.Device.LoadModule("bench", PtxBench.Wrap(AddOne));
        CudaKernel kernel = module.Kernel("bench");
        Assert.Equal(CuResult.InvalidValue, Assert.Throws<CudaException>(() =>
        {
            KernelArguments arguments = default;
            arguments.AddAddress(0);
            arguments.AddAddress(0);
            bench.Device.Launch(kernel, 1, 32, ref arguments, sharedByteCount: 200 * 1024);
        }).Result);
        ArgumentException few = Assert.Throws<ArgumentException>(() =>
        {
            KernelArguments arguments = default;
            arguments.AddAddress(0);
            bench.Device.Launch(kernel, 1, 32, ref arguments);
        });
        Assert.Contains("takes 2 arguments, 1 were given", few.Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>(() =>
        {
            KernelArguments arguments = default;
            arguments.AddAddress(0);
            arguments.Add(1);
            bench.Device.Launch(kernel, 1, 32, ref arguments);
        });
        Assert.Equal(CuResult.NotFound, Assert.Throws<CudaException>(() => module.Kernel("nothing")).Result);
    }

    [Theory]
    [InlineData("9.0", "sm_80", CuResult.UnsupportedPtxVersion)]
    [InlineData("7.0", "sm_100", CuResult.NoBinaryForGpu)]
    public void PtxOfAnotherTimeIsRefused(string version, string target, CuResult expected)
    {
        using CudaDevice device = CudaDevice.Emulate(new EmulationOptions());
        CudaException e = Assert.Throws<CudaException>(() => device.LoadModule("bench", PtxBench.Wrap(AddOne, version: version, target: target)));
        Assert.Equal(expected, e.Result);
    }

    [Fact]
    public void AStreamDoesNothingBeforeSomebodyWaits()
    {
        // A copy out of page-locked memory reads it when it runs: a host that changes it too early is found out.
        using CudaDevice device = CudaDevice.Emulate(new EmulationOptions());
        using PinnedMemory pinned = new(device, 128);
        using CudaEvent done = new(device);
        Tensor tensor = device.NewTensor(DType.Int32, new Shape(32));
        MemoryMarshal.Cast<byte, int>(pinned.Span).Fill(1);
        Upload();
        MemoryMarshal.Cast<byte, int>(pinned.Span).Fill(2);
        Assert.All(tensor.ToArray<int>(), v => Assert.Equal(2, v));

        MemoryMarshal.Cast<byte, int>(pinned.Span).Fill(3);
        Upload();
        done.Synchronize();
        MemoryMarshal.Cast<byte, int>(pinned.Span).Fill(4);
        Assert.All(tensor.ToArray<int>(), v => Assert.Equal(3, v));
        tensor.Memory.Dispose();

        void Upload()
        {
            CudaException.ThrowIfFailed(device.Driver.MemcpyHtoDAsync((ulong)tensor.Address, pinned.Pointer, 128, device.CopyStream.Handle), device.Driver);
            done.Record(device.CopyStream);
            device.Stream.WaitFor(done);
        }
    }

    [Fact]
    public void AMissingWaitBetweenStreamsShows()
    {
        HashSet<int> results = [];
        for (uint seed = 0; seed < 8; seed++)
        {
            using CudaDevice device = CudaDevice.Emulate(new EmulationOptions { Seed = seed, Interleaving = Interleaving.Random });
            Tensor tensor = device.NewTensor(DType.Int32, new Shape(1));
            device.Synchronize();
            CudaException.ThrowIfFailed(device.Driver.MemsetD8Async((ulong)tensor.Address, 1, 4, device.Stream.Handle), device.Driver);
            CudaException.ThrowIfFailed(device.Driver.MemsetD8Async((ulong)tensor.Address, 2, 4, device.CopyStream.Handle), device.Driver);
            CudaException.ThrowIfFailed(device.Driver.CtxSynchronize(), device.Driver);
            results.Add(tensor.ToArray<int>()[0]);
            tensor.Memory.Dispose();
        }

        Assert.Equal(2, results.Count);
    }

    [Fact]
    public void AGraphReplaysWhatItCapturedAndReadsMemoryAnew()
    {
        foreach (Interleaving interleaving in Enum.GetValues<Interleaving>())
        {
            using CudaDevice device = CudaDevice.Emulate(new EmulationOptions { Interleaving = interleaving });
            using CudaModule module = device.LoadModule("bench", PtxBench.Wrap(AddOne));
            CudaKernel kernel = module.Kernel("bench");
            Tensor a = device.NewTensor(DType.Int32, new Shape(32));
            Tensor b = device.NewTensor(DType.Int32, new Shape(32));
            Tensor c = device.NewTensor(DType.Int32, new Shape(32));
            using CudaGraph graph = CudaGraph.Capture(device, () =>
            {
                Launch(device, kernel, a, b);
                Launch(device, kernel, b, c);
                device.Copy(c, a);
            });
            a.CopyFrom<int>(s_numbers);
            graph.Launch();
            graph.Launch();
            Assert.Equal(s_numbers.Select(v => v + 4), c.ToArray<int>());
            Assert.Equal(4, device.Emulation!.Audit.LaunchCount);
            Assert.Equal(2, device.Emulation.Audit.GraphLaunchCount);

            b.Memory.Dispose();
            graph.Launch();
            Assert.Contains("was freed", Assert.Throws<CudaException>(device.Synchronize).Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void ACaptureRefusesWhatCannotBeReplayed()
    {
        using CudaDevice device = CudaDevice.Emulate(new EmulationOptions());
        Assert.Equal(CuResult.StreamCaptureUnsupported, Assert.Throws<CudaException>(() => CudaGraph.Capture(device, device.Synchronize)).Result);
        Assert.Equal(CuResult.StreamCaptureUnsupported, Assert.Throws<CudaException>(() => CudaGraph.Capture(device, () => device.Allocate(16))).Result);
        device.Synchronize();
        Assert.Equal(CuResult.StreamCaptureUnjoined, Assert.Throws<CudaException>(() => CudaGraph.Capture(device, () =>
        {
            // Work forked to another stream and never joined.
            using CudaEvent fork = new(device);
            fork.Record(device.Stream);
            device.CopyStream.WaitFor(fork);
            device.Driver.MemsetD8Async(0x1000, 0, 4, device.CopyStream.Handle);
        })).Result);
    }

    [Fact]
    public void ALaunchPutsNothingOnTheManagedHeapOfTheCaller()
    {
        // The emulated driver allocates; what comes before it must not.
        CountingDriver driver = new();
        using CudaDevice device = new(driver, null, 0, "counting", poolsMemory: true);
        using CudaModule module = device.LoadModule("bench", PtxBench.Wrap(AddOne));
        CudaKernel kernel = module.Kernel("bench");
        Tensor a = device.NewTensor(DType.Int32, new Shape(32));
        Launch(device, kernel, a, a);
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < 100; i++)
        {
            Launch(device, kernel, a, a);
        }

        Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());
        Assert.Equal(101, driver.Launches);
        a.Memory.Dispose();
    }

    [Fact]
    public void CublasMultipliesColumnMajorMatrices()
    {
        using CudaDevice device = CudaDevice.Emulate(new EmulationOptions());
        Tensor a = device.NewTensor(DType.Float32, new Shape(6));
        Tensor b = device.NewTensor(DType.Float32, new Shape(6));
        Tensor c = device.NewTensor(DType.Float32, new Shape(4));
        a.CopyFrom<float>([1, 2, 3, 4, 5, 6]);
        b.CopyFrom<float>([1, 0, 2, 0, 1, 3]);
        c.CopyFrom<float>([1, 1, 1, 1]);
        float alpha = 2;
        float beta = 1;

        // A is 2 x 3: (1 3 5; 2 4 6), B is 3 x 2: (1 0; 0 1; 2 3).
        CudaException.ThrowIfCublasFailed(device.Cublas!.GemmEx(
            device.BlasHandle(), 0, 0, 2, 2, 3, &alpha, (ulong)a.Address, 0, 2, (ulong)b.Address, 0, 3, &beta, (ulong)c.Address, 0, 2, 68, -1));
        Assert.Equal([23, 29, 37, 45], c.ToArray<float>());

        // A leading dimension below the number of rows.
        Assert.Equal(7, device.Cublas.GemmEx(
            device.BlasHandle(), 0, 0, 2, 2, 3, &alpha, (ulong)a.Address, 0, 1, (ulong)b.Address, 0, 3, &beta, (ulong)c.Address, 0, 2, 68, -1));
    }

    [Fact]
    public void CublasAddsABFloat16ResultInFloat32UnlikeAHandleInDefaultMode()
    {
        using CudaDevice device = CudaDevice.Emulate(new EmulationOptions());
        Tensor ones = device.NewTensor(DType.BFloat16, new Shape(8));
        Tensor b = device.NewTensor(DType.BFloat16, new Shape(8));
        ones.CopyFrom<BFloat16>([.. Enumerable.Repeat(BFloat16.FromSingle(1), 8)]);

        // 258.625, which rounds to 258 (bfloat16 has steps of 2 from 256 on); added in bfloat16, each of the parts of 0.875 is lost.
        b.CopyFrom<BFloat16>([.. ((float[])[256, 0, 0.625f, 0.25f, 0.625f, 0.25f, 0.625f, 0.25f]).Select(BFloat16.FromSingle)]);
        Assert.Equal(258, Dot(device.BlasHandle()));

        CudaException.ThrowIfCublasFailed(device.Cublas!.Create(out nint handle));
        CudaException.ThrowIfCublasFailed(device.Cublas.SetStream(handle, device.Stream.DangerousGetHandle()));
        Assert.Equal(256, Dot(handle));
        CudaException.ThrowIfCublasFailed(device.Cublas.SetMathMode(handle, ICublas.WideReductions));
        Assert.Equal(258, Dot(handle));
        Assert.Equal(7, device.Cublas.SetMathMode(handle, 64));
        Assert.Equal(0, device.Cublas.Destroy(handle));

        float Dot(nint handle)
        {
            float alpha = 1;
            float beta = 0;
            Tensor c = device.NewTensor(DType.BFloat16, new Shape(1));
            CudaException.ThrowIfCublasFailed(device.Cublas!.GemmEx(
                handle, 0, 0, 1, 1, 8, &alpha, (ulong)ones.Address, ICublas.BFloat16, 1, (ulong)b.Address, ICublas.BFloat16, 8, &beta, (ulong)c.Address, ICublas.BFloat16, 1, ICublas.ComputeFloat32, ICublas.DefaultAlgorithm));
            return c.ToArray<BFloat16>()[0].ToSingle();
        }
    }

    private static void Launch(CudaDevice device, CudaKernel kernel, in Tensor source, in Tensor destination)
    {
        KernelArguments arguments = default;
        arguments.Add(source);
        arguments.Add(destination);
        device.Launch(kernel, 1, 32, ref arguments);
    }
}
