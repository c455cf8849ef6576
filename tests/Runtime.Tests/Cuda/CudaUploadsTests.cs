using CrossAlign.Runtime.Cuda;
using CrossAlign.Runtime.Cuda.Emulation;

namespace CrossAlign.Runtime.Tests.Cuda;

/// <summary>Copies from the host beside the device's work: what arrives, in which order, and that every wait is needed.</summary>
public sealed class CudaUploadsTests
{
    private const int Length = 64;

    // out[i] = in[i] + 1, of 32 numbers
    private const string AddOne = "ld.global.u32 %r10, [%rd3]; add.u32 %r10, %r10, 1; st.global.u32 [%rd4], %r10;";

    public static TheoryData<Interleaving, bool> Orders()
    {
        TheoryData<Interleaving, bool> data = [];
        foreach (Interleaving interleaving in Enum.GetValues<Interleaving>())
        {
            data.Add(interleaving, false);
            data.Add(interleaving, true);
        }

        return data;
    }

    [Theory]
    [MemberData(nameof(Orders))]
    public void WorkReadsWhatWasDeliveredBeforeIt(Interleaving interleaving, bool replaysAGraph)
    {
        (int[][] seen, _) = Stream(new EmulationOptions { Interleaving = interleaving, Seed = 3 }, LostWait.None, replaysAGraph);
        Assert.Equal(Expected(), seen);
    }

    [Theory]
    [InlineData(LostWait.OfOperationsForCopies)]
    [InlineData(LostWait.OfCopiesForOperations)]
    [InlineData(LostWait.OfHostForCopies)]
    public void EachWaitIsNeeded(LostWait lost)
    {
        int wrong = 0;
        foreach (Interleaving interleaving in Enum.GetValues<Interleaving>())
        {
            (int[][] seen, int lostCount) = Stream(new EmulationOptions { Interleaving = interleaving, Seed = 3 }, lost, replaysAGraph: true);
            Assert.True(lostCount > 0);
            wrong += seen.Zip(Expected()).All(pair => pair.First.SequenceEqual(pair.Second)) ? 0 : 1;
        }

        Assert.InRange(wrong, 1, 3);
    }

    [Fact]
    public void WhatIsSentGoesThroughAStreamOfItsOwnAndIsPutInItsPlaceInTheOrderOfTheWork()
    {
        WatchedDriver driver = new(new EmulationOptions());
        using CudaDevice device = Over(driver);
        using CudaUploads uploads = new(device);
        Tensor place = device.NewTensor(DType.Int32, new Shape(Length));
        uploads.Add<int>([1, 2, 3], place);
        uploads.Add<int>([4], place.Rows(8, 1));
        Assert.True(uploads.IsPending);
        driver.Calls.Clear();
        uploads.Send();
        Assert.Equal(
            [new(StreamCallKind.Wait, 1), new(StreamCallKind.CopyFromHost, 1), new(StreamCallKind.CopyFromHost, 1)],
            driver.Calls);
        Assert.Throws<InvalidOperationException>(() => uploads.Add<int>([5], place));
        driver.Calls.Clear();
        uploads.Deliver();
        Assert.Equal(
            [new(StreamCallKind.Wait, 0), new(StreamCallKind.CopyOnDevice, 0), new(StreamCallKind.CopyOnDevice, 0)],
            driver.Calls);
        Assert.False(uploads.IsPending);
        Assert.Equal([1, 2, 3, 0, 0, 0, 0, 0, 4, 0], place.ToArray<int>()[..10]);

        // What is discarded leaves no trace, sent or not.
        uploads.Add<int>([7], place);
        uploads.Discard();
        uploads.Add<int>([8], place);
        uploads.Send();
        uploads.Discard();
        uploads.Deliver();
        Assert.Equal(1, place.ToArray<int>()[0]);
        uploads.Add<int>([9], place);
        uploads.Deliver();
        Assert.Equal([9, 2], place.ToArray<int>()[..2]);
        place.Memory.Dispose();
    }

    [Fact]
    public void DeliveriesOfSeveralLengthsToOnePlaceTakeNoMemoryAfterTheFirst()
    {
        using CudaDevice device = CudaDevice.Emulate(new EmulationOptions());
        using CudaUploads uploads = new(device);
        Tensor place = device.NewTensor(DType.Int32, new Shape(Length));
        int[] values = new int[Length];
        for (int i = 0; i < 2; i++)
        {
            uploads.Add<int>(values.AsSpan(0, 1), place);
            uploads.Deliver();
        }

        long taken = device.Emulation!.Audit.AllocationCount;
        long landing = uploads.LandingByteCount;
        Assert.InRange(landing, Length * sizeof(int), Length * sizeof(int) * 9 / 8);
        for (int length = 0; length <= Length; length++)
        {
            values.AsSpan(0, length).Fill(length);
            uploads.Add<int>(values.AsSpan(0, length), place);
            uploads.Deliver();
            Assert.Equal(values, place.ToArray<int>());
        }

        Assert.Equal((taken, landing), (device.Emulation.Audit.AllocationCount, uploads.LandingByteCount));
        Assert.Throws<ArgumentException>(() => uploads.Add<int>(new int[Length + 1], place));
        using CpuDevice cpu = new(1);
        Tensor elsewhere = cpu.NewTensor(DType.Int32, new Shape(Length));
        Assert.Throws<ArgumentException>(() => uploads.Add<int>(values, elsewhere));
        place.Memory.Dispose();
        elsewhere.Memory.Dispose();
    }

    [Fact]
    public void UploadsThatWereNotDeliveredAreGivenBackWithTheirDevice()
    {
        string? leaks = null;
        using (CudaDevice device = CudaDevice.Emulate(new EmulationOptions()))
        {
            device.LeakReporter = report => leaks = report;
            Tensor place = device.NewTensor(DType.Int32, new Shape(Length));
            using (CudaUploads uploads = new(device))
            {
                uploads.Add<int>([1], place);
                uploads.Send();
            }

            Assert.Equal(0, place.ToArray<int>()[0]);
            place.Memory.Dispose();
        }

        Assert.Null(leaks);
    }

    private static CudaDevice Over(WatchedDriver driver) => new(driver, null, 0, "watched", poolsMemory: false);

    private static int[][] Expected() => [.. Enumerable.Range(1, Deliveries).Select(i => Enumerable.Range(100 * i, 32).Select(v => v + 1).ToArray())];

    private const int Deliveries = 5;

    // Each delivery is sent while the work on the one before is under way, and nobody waits for the device in between.
    private static (int[][] Seen, int LostCount) Stream(EmulationOptions options, LostWait lost, bool replaysAGraph)
    {
        WatchedDriver driver = new(options, lost);
        using CudaDevice device = Over(driver);
        using CudaModule module = device.LoadModule("bench", PtxBench.Wrap(AddOne));
        CudaKernel kernel = module.Kernel("bench");
        using CudaUploads uploads = new(device);
        Tensor place = device.NewTensor(DType.Int32, new Shape(32));
        Tensor result = device.NewTensor(DType.Int32, new Shape(32));
        Tensor results = device.NewTensor(DType.Int32, new Shape(Deliveries, 32));
        device.Synchronize();
        using CudaGraph? graph = replaysAGraph ? CudaGraph.Capture(device, () => Launch(device, kernel, place, result)) : null;
        for (int i = 0; i < Deliveries; i++)
        {
            uploads.Add<int>([.. Enumerable.Range(100 * (i + 1), 32)], place);
            uploads.Send();
            uploads.Deliver();
            if (graph is null)
            {
                Launch(device, kernel, place, result);
            }
            else
            {
                graph.Launch();
            }

            device.Copy(result, results.Rows(i, 1).Reshape(new Shape(32)));
        }

        int[] all = results.ToArray<int>();
        place.Memory.Dispose();
        result.Memory.Dispose();
        results.Memory.Dispose();
        return ([.. all.Chunk(32)], driver.LostCount);
    }

    private static void Launch(CudaDevice device, CudaKernel kernel, in Tensor a, in Tensor b)
    {
        KernelArguments arguments = default;
        arguments.Add(a);
        arguments.Add(b);
        device.Launch(kernel, 1, 32, ref arguments);
    }
}
