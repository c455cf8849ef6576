namespace CrossAlign.Runtime.Tests;

public sealed unsafe class WorkerPoolTests
{
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(5)]
    public void EveryTaskRunsExactlyOnce(int threadCount)
    {
        using WorkerPool pool = new(threadCount);
        int* counts = stackalloc int[67];
        for (int round = 0; round < 2000; round++)
        {
            int taskCount = round % 67;
            new Span<int>(counts, 67).Clear();
            pool.Run(taskCount, &Count, counts);
            for (int task = 0; task < 67; task++)
            {
                Assert.Equal(task < taskCount ? 1 : 0, counts[task]);
            }
        }
    }

    [Fact]
    public void ParkedWorkersWakeUp()
    {
        using WorkerPool pool = new(3);
        int* counts = stackalloc int[8];
        for (int round = 0; round < 5; round++)
        {
            new Span<int>(counts, 8).Clear();
            Thread.Sleep(20);
            pool.Run(8, &Count, counts);
            Assert.Equal(8, new Span<int>(counts, 8).ToArray().Sum());
        }
    }

    [Fact]
    public void AnExceptionOfATaskReachesTheCallerAndThePoolGoesOn()
    {
        using WorkerPool pool = new(2);
        InvalidOperationException e = Assert.Throws<InvalidOperationException>(() => pool.Run(9, &Throw, null));
        Assert.Equal("task 4", e.Message);
        int* counts = stackalloc int[4];
        new Span<int>(counts, 4).Clear();
        pool.Run(4, &Count, counts);
        Assert.Equal([1, 1, 1, 1], new Span<int>(counts, 4).ToArray());
    }

    [Fact]
    public void StartingAJobAllocatesNothing()
    {
        using WorkerPool pool = new(2);
        int* counts = stackalloc int[16];
        pool.Run(16, &Count, counts);
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < 100; i++)
        {
            pool.Run(16, &Count, counts);
        }

        Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());
    }

    private static void Count(int task, void* state) => Interlocked.Increment(ref ((int*)state)[task]);

    private static void Throw(int task, void* state)
    {
        if (task == 4)
        {
            throw new InvalidOperationException("task 4");
        }
    }
}
