namespace CrossAlign.Kernels.Cpu.Products;

/// <summary>
/// Working memory for the tasks of a job: as many pieces as there are threads, since no more tasks run at once, or as many as there is room for.
/// A task takes a free piece, or waits for one, and gives it back; which one it gets has no influence on what it computes.
/// </summary>
internal unsafe struct ScratchSlots
{
    private const int CacheLineInts = 16;

    private readonly float* _memory;
    private readonly int* _taken;
    private readonly nint _floats;
    private readonly int _count;

    /// <summary>Cuts memory into pieces.</summary>
    /// <param name="memory">At least <see cref="ByteCount"/> bytes, aligned to 64.</param>
    /// <param name="floats">Floats of a piece.</param>
    /// <param name="count">How many pieces; see <see cref="CountWithin"/>.</param>
    public ScratchSlots(void* memory, nint floats, int count)
    {
        _taken = (int*)memory;
        _memory = (float*)(_taken + (count * CacheLineInts));
        _floats = RoundUp(floats);
        _count = count;
        new Span<int>(_taken, count * CacheLineInts).Clear();
    }

    /// <summary>Bytes that the pieces take together.</summary>
    public static long ByteCount(nint floats, int count) => (long)count * (CacheLineInts + RoundUp(floats)) * sizeof(float);

    /// <summary>How many pieces there are: one a thread, or as many as a limit has room for, at least one.</summary>
    /// <param name="byteLimit">The most that they take together; 0 for no limit.</param>
    /// <param name="floats">Floats of a piece.</param>
    /// <param name="threads">Threads.</param>
    public static int CountWithin(long byteLimit, nint floats, int threads) =>
        byteLimit == 0 ? threads : (int)Math.Clamp(byteLimit / ByteCount(floats, 1), 1, threads);

    /// <summary>Takes a piece.</summary>
    /// <param name="slot">To be given to <see cref="GiveBack"/>.</param>
    /// <returns>Its memory, aligned to 64 bytes.</returns>
    public readonly float* Take(out int slot)
    {
        SpinWait spinner = default;
        while (true)
        {
            for (slot = 0; slot < _count; slot++)
            {
                if (Interlocked.CompareExchange(ref _taken[slot * CacheLineInts], 1, 0) == 0)
                {
                    return _memory + (slot * _floats);
                }
            }

            // All are in use, for as long as a task takes.
            spinner.SpinOnce(sleep1Threshold: -1);
        }
    }

    /// <summary>Gives a piece back.</summary>
    public readonly void GiveBack(int slot) => Volatile.Write(ref _taken[slot * CacheLineInts], 0);

    // An odd number of cache lines: pieces a power of two apart would compete for the same places in the cache.
    private static nint RoundUp(nint floats) => (((floats + 15) / 16) | 1) * 16;
}
