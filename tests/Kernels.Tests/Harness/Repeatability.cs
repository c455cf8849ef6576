namespace CrossAlign.Kernels.Tests.Harness;

/// <summary>What every CPU operation promises: the same bits for any number of threads, and nothing put on the managed heap.</summary>
public static class Repeatability
{
    /// <summary>Fails unless a computation gives the same bits with 1, 2, 3 and 5 threads, twice each.</summary>
    /// <param name="compute">Runs the operation on a backend and downloads all of its results.</param>
    public static void AssertSameBitsForAnyThreadCount(Func<Backend, float[][]> compute)
    {
        float[][]? first = null;
        foreach (int threads in (int[])[1, 2, 3, 5])
        {
            using ThreadedCpuBackend backend = new(threads);
            for (int round = 0; round < 2; round++)
            {
                float[][] results = compute(backend);
                first ??= results;
                Assert.Equal(first.Length, results.Length);
                for (int i = 0; i < results.Length; i++)
                {
                    Assert.Equal(Bits(first[i]), Bits(results[i]));
                }
            }
        }
    }

    /// <summary>Fails if a call allocates on the managed heap once it is warm.</summary>
    public static void AssertNoAllocation(Action call)
    {
        call();
        call();
        long before = GC.GetAllocatedBytesForCurrentThread();
        call();
        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
    }

    private static uint[] Bits(float[] values) => Array.ConvertAll(values, BitConverter.SingleToUInt32Bits);
}
